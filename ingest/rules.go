package ingest

import (
	"bytes"
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// The window of record times that are passed on (SPEC.md [N31]). Clocks differ,
// so being outside of it is nobody's fault.
const (
	maxAge    = 24 * time.Hour
	maxFuture = 10 * time.Minute
)

// A rule decides about some of the entries of its classes, and leaves the others to the
// next. Its error is one of the index.
type rule struct {
	tags  string // in SPEC.md
	of    class
	apply func(*batch, context.Context, []*entry) error
}

// rules are what an item that could be decoded goes through, in the order of SPEC.md
// section 12.2. What pulls bring (N42) differs in three ways: no rates are set, since
// this node asked; what it asked for is verified whether it is known or not; and key
// blocks come apart from records, before them.
var rules = []rule{
	{"N38", ownRecord, each((*batch).ownRecord)},
	{"N38", ownKey, each((*batch).ownKey)},
	{"N161", pushedRecord | pushedKey, each((*batch).revocation)},
	{"N34 X2", pushedRecord, (*batch).isKnown},
	{"N35", pushedRecord | pushedKey | pulledRecord | pulledKey, each((*batch).deny)},
	{"N31", pushedRecord, each((*batch).clock)},
	{"N30 N160", pushedRecord | pushedKey, each((*batch).rates)},
	{"N42", pulledKey, each((*batch).keyLimit)},
	{"N33 X2", pushedRecord, each((*batch).frameKey)},
	{"N33 X2 N42", pulledKey, each((*batch).pulledKey)},
	{"N42", pulledRecord, each((*batch).pulledRecordKey)},
	{"N37 N160", pushedKey, each((*batch).pushedKey)},
	{"N33 T23", pushedRecord | pulledRecord, (*batch).verify},
	{"N31 N42", pulledRecord, each((*batch).future)},
	{"N34 N30 N160", pushedRecord, each((*batch).charge)},
	{"N32 N36 X1 X7", pushedRecord | pulledRecord, (*batch).store},
	{"N42 X2", pulledKey, each((*batch).storeKey)},
}

// each makes a rule of what looks at one entry at a time, in order.
func each(f func(*batch, context.Context, *entry) error) func(*batch, context.Context, []*entry) error {
	return func(b *batch, ctx context.Context, entries []*entry) error {
		for _, e := range entries {
			if err := f(b, ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// ownRecord lets out what comes from the index, and nothing else as this node's own.
func (b *batch) ownRecord(ctx context.Context, e *entry) error {
	stored, err := b.cfg.Index.Has(ctx, e.envelope.ID())
	e.decide(Refused, nil)
	if stored {
		e.decide(Known, nil)
	}
	e.result.Relay = stored
	return err
}

func (b *batch) ownKey(_ context.Context, e *entry) error {
	if _, err := sign.ParseKey(e.block); err != nil {
		e.fail(err)
		return nil
	}
	e.decide(Known, nil)
	e.result.Relay = true
	return nil
}

// revocation stores a key block of a known author that revokes more than is known of
// the key, whatever rates are used up.
func (b *batch) revocation(ctx context.Context, e *entry) error {
	said := sign.Revocations(e.block)
	if named, ok := sign.BlockAuthor(e.block); len(said) == 0 || !ok || named != e.author {
		return nil
	}
	have, err := b.keyOf(ctx, e.author)
	if err != nil || have == nil || have.HasPackets(said) || b.follows.policy.Denied(e.author) {
		return err
	}
	key, err := sign.ParseKey(e.block)
	if err == nil {
		key, err = have.Merge(key)
	}
	if err != nil {
		e.fail(err)
		return nil
	}
	if !key.AddsRevocation(have) {
		return nil
	}
	if e.revoked, err = b.addKey(ctx, key); err == nil && e.revoked && e.class == pushedKey {
		e.decide(Stored, nil)
	}
	return err
}

// isKnown passes over records that are here. One whose signature does not count any
// more, and that another key of its author could have signed, is not.
func (b *batch) isKnown(ctx context.Context, entries []*entry) error {
	elements := make([]records.Element, len(entries))
	for i, e := range entries {
		elements[i] = records.RecordElement(e.author, e.envelope.ID())
	}
	missing, err := b.cfg.Index.Missing(ctx, elements)
	if err != nil {
		return err
	}
	isMissing := map[records.Element]bool{}
	for _, m := range missing {
		isMissing[m] = true
	}
	for i, e := range entries {
		if !isMissing[elements[i]] {
			e.decide(Known, nil)
		}
	}
	return nil
}

func (b *batch) deny(_ context.Context, e *entry) error {
	e.followed = b.follows.keys[e.author]
	if b.follows.policy.Denied(e.author) {
		e.decide(Refused, nil)
	}
	return nil
}

// clock passes over what will not be taken whatever its signature says: old records
// cost nothing to repeat, and nobody is to blame for them.
func (b *batch) clock(_ context.Context, e *entry) error {
	e.old = !b.isFresh(e.envelope.Record())
	if e.old && !e.followed {
		e.decide(Refused, nil)
	}
	return nil
}

// future passes over records of strangers that are of the future.
func (b *batch) future(_ context.Context, e *entry) error {
	if !e.followed && recordTime(e.envelope.Record()).After(b.now.Add(maxFuture)) {
		e.decide(Refused, nil)
	}
	return nil
}

func recordTime(r *records.Record) time.Time { return time.Unix(r.Time, 0) }

func (b *batch) isFresh(r *records.Record) bool {
	t := recordTime(r)
	return !t.Before(b.now.Add(-maxAge)) && !t.After(b.now.Add(maxFuture))
}

// rates passes over what will not be taken for a rate that is used up. An author makes
// fresh records only; whoever repeats old ones is charged for them.
func (b *batch) rates(_ context.Context, e *entry) error {
	mayBeRedundant := e.class == pushedKey || e.old || !e.followed
	if mayBeRedundant && !b.quota.hasRedundant(e.Source.Origin, b.now) ||
		e.class == pushedRecord && !e.old && !b.quota.hasRecord(e.author, e.Source.Origin, e.followed, b.now) {
		e.decide(Refused, nil)
	}
	return nil
}

func (b *batch) keyLimit(_ context.Context, e *entry) error {
	if !e.Source.Session.withinKeyLimit(e.author) {
		e.decide(Refused, nil)
	}
	return nil
}

// joinedBlock is a key block that was said to be an author's.
type joinedBlock struct {
	author records.Fingerprint
	block  string
}

// join is a key block with what is known of its key, or why there is none.
type join struct {
	key *sign.Key
	err error
}

// frameKey reads the key block of a frame, joined with what is known of the key, such
// as a revocation that the block leaves out.
func (b *batch) frameKey(ctx context.Context, e *entry) error {
	id := joinedBlock{e.author, string(e.block)}
	j, done := b.joined[id]
	if !done {
		have, err := b.keyOf(ctx, e.author)
		if err != nil {
			return err
		}
		if j.key, j.err = readKey(e); j.err == nil && have != nil {
			j.key, j.err = have.Merge(j.key)
		}
		b.joined[id] = j
	}
	if e.key = j.key; j.err != nil {
		b.failed(e, j.err)
	}
	return nil
}

func readKey(e *entry) (*sign.Key, error) {
	key, err := sign.ParseKey(e.block)
	if err == nil && key.Fingerprint() != e.author {
		err = &foreignKeyError{key.Fingerprint(), e.author}
	}
	return key, err
}

// failed decides by an error about what somebody sent unasked. What is malformed is
// charged to the peer elsewhere; what is not, and what is old, to its address.
func (b *batch) failed(e *entry, err error) {
	if e.fail(err); e.old || e.result.Outcome != Malformed {
		b.quota.takeRedundant(e.Source.Origin, b.now)
	}
}

// pulledKey joins a key block with what is known of the key. It is worth storing alone
// when its author is known or followed; else their records come next.
func (b *batch) pulledKey(ctx context.Context, e *entry) error {
	have, err := b.keyOf(ctx, e.author)
	if err != nil {
		return err
	}
	key, failure := readKey(e)
	for _, k := range []*sign.Key{have, b.pulled[e.author]} {
		if failure == nil && k != nil {
			key, failure = k.Merge(key)
		}
	}
	if failure != nil {
		e.fail(failure)
		return nil
	}
	e.key, b.pulled[e.author] = key, key
	e.result.Outcome = Known
	if have != nil || e.followed {
		b.standalone[e.author] = e
	} else {
		e.Source.Session.setPendingKey(key)
	}
	return nil
}

// pulledRecordKey finds the key to verify a record by.
func (b *batch) pulledRecordKey(ctx context.Context, e *entry) error {
	if e.key = b.pulled[e.author]; e.key != nil {
		return nil
	}
	key, err := b.keyOf(ctx, e.author)
	if err != nil {
		return err
	}
	if key == nil {
		key = e.Source.Session.pendingKeyOf(e.author)
	}
	if key == nil {
		e.decide(Refused, &sign.UnknownKeyError{Fingerprint: e.author})
		return nil
	}
	e.key, b.pulled[e.author] = key, key
	return nil
}

// pushedKey stores a key block that brings news of a known or followed key, and has
// that of an unknown one passed on.
func (b *batch) pushedKey(ctx context.Context, e *entry) error {
	have, err := b.keyOf(ctx, e.author)
	if err != nil {
		return err
	}
	key, failure := readKey(e)
	if failure != nil {
		e.fail(failure)
		return nil
	}
	if have == nil && !e.followed && b.quota.takeRelayedKey(e.Source.Origin, b.now) {
		// Keys without records cost others nothing to make: they are not kept, but
		// someone else may need this one.
		e.decide(Refused, nil)
		e.result.Relay = true
		return nil
	}
	// Whatever is public of a key anybody can send in many forms. What is new of it
	// was made by its owner.
	news := have == nil && e.followed
	if have != nil {
		merged, err := have.Merge(key)
		if err != nil {
			b.failed(e, err)
			return nil
		}
		key, news = merged, !bytes.Equal(merged.Block(), have.Block())
	}
	if !news {
		b.quota.takeRedundant(e.Source.Origin, b.now)
		e.decide(Known, nil)
		return nil
	}
	if !b.quota.takeRecord(e.author, e.Source.Origin, e.followed, b.now) {
		e.decide(Refused, nil)
		return nil
	}
	changed, err := b.addKey(ctx, key)
	if e.decide(Known, nil); changed {
		e.decide(Stored, nil)
	}
	e.result.Relay = changed
	return err
}

// verify verifies the signatures on all cores.
func (b *batch) verify(ctx context.Context, entries []*entry) error {
	failures := make([]error, len(entries))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.NumCPU())
	for i, e := range entries {
		workers.Go(func() error {
			e.verified, failures[i] = e.envelope.Verify(sign.KeyRing{e.author: e.key})
			return ctx.Err()
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	for i, e := range entries {
		switch {
		case failures[i] == nil:
		case e.class == pulledRecord:
			e.fail(failures[i])
		default:
			b.failed(e, failures[i])
		}
	}
	return nil
}

// charge uses up the rates for a verified record. A second copy in a batch is known.
func (b *batch) charge(_ context.Context, e *entry) error {
	id := e.verified.ID()
	switch {
	case b.taken[id]:
		e.decide(Known, nil)
	case e.old && b.quota.takeRedundant(e.Source.Origin, b.now),
		!e.old && b.quota.takeRecord(e.author, e.Source.Origin, e.followed, b.now):
		b.taken[id] = true
	default:
		e.decide(Refused, nil)
	}
	return nil
}

// store adds the records in one transaction.
func (b *batch) store(ctx context.Context, entries []*entry) error {
	items := make([]index.Item, len(entries))
	for i, e := range entries {
		items[i] = index.Item{Verified: e.verified, Key: e.key, Source: index.Source{Peer: e.Source.Peer, Stranger: !e.followed}}
	}
	results, err := b.cfg.Index.AddAll(ctx, items)
	if err != nil {
		return err
	}
	for i, r := range results {
		e := entries[i]
		switch {
		case r.Outcome == index.Refused:
			e.decide(Refused, r.Err)
		case !isNew(r.Outcome):
			e.decide(Known, nil)
		default:
			e.decide(Stored, nil)
			b.stored(ctx, e, r.Outcome)
		}
	}
	return nil
}

// stored tells of a record that is new here.
func (b *batch) stored(ctx context.Context, e *entry, o index.Outcome) {
	b.received.add(e.Source.Peer)
	b.withRecord[e.author] = true
	b.followSet.learn(e.verified.Record())
	if o == index.Frozen {
		return
	}
	b.cfg.Stored(ctx, e.verified, o)
	fresh := b.isFresh(e.verified.Record())
	e.result.Relay = fresh
	if s := e.Source.Session; s != nil && fresh {
		s.addAnnounced(e.verified.ID(), func() bool {
			return b.quota.takeRecord(e.author, e.Source.Origin, e.followed, b.now)
		})
	}
}

// storeKey stores a key that came with no record that is new here.
func (b *batch) storeKey(ctx context.Context, e *entry) error {
	outcome := Known
	if b.standalone[e.author] == e && !b.withRecord[e.author] {
		changed, err := b.addKey(ctx, e.key)
		if err != nil {
			return err
		}
		if changed {
			outcome = Stored
		}
	}
	e.decide(outcome, nil)
	return nil
}
