package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A Kind says what the bytes of an Item are.
type Kind int

const (
	Frame    Kind = iota // a key block and an envelope (SPEC.md section 8)
	KeyBlock             // a minimal key block
	Envelope             // a record and its signature
)

// A Source says where an Item comes from.
type Source struct {
	// Peer is the id of the peer that sent it, as text; it may be empty.
	Peer string
	// Origin is the address that is charged for what nobody asked for.
	Origin string
	// Own marks what this node itself is about to announce.
	Own bool
	// Session is set for what this node asked for, which comes as key blocks and
	// envelopes apart. Then no rates are set, and a malformed item ends the batch.
	Session *Session
}

// An Item is what is to be stored. Data is not changed.
type Item struct {
	Kind   Kind
	Data   []byte
	Author records.Fingerprint // whose it is said to be; may be zero
	Source Source
}

// An Outcome is what became of an Item.
type Outcome int

const (
	Refused   Outcome = iota // not stored, by trust, the clock, a rate, or what is known of the key
	Malformed                // not stored: the bytes are wrong for everybody and for ever
	Known                    // nothing in it is new
	Stored                   // new here
)

// A Result is the outcome for one item.
type Result struct {
	Outcome Outcome
	// Relay is set for what is worth passing on to other peers (SPEC.md [N32]).
	Relay bool
	// Err says why an item was refused or is malformed, unless it was for a rate, the
	// clock or a denial.
	Err error
}

// A MalformedError says that bytes of a session are wrong for everybody and for ever.
type MalformedError struct{ Err error }

func (e *MalformedError) Error() string { return e.Err.Error() }
func (e *MalformedError) Unwrap() error { return e.Err }

// Batch stores what the items bring, in one transaction where it can, and says what
// became of each: what the same items would have become one by one, in order, but that
// a rate which ends among them may have let more of them be verified.
//
// A batch is of one session, or of no session. Of a session nothing is stored when an
// item is malformed, and the error is a *MalformedError. Other errors are those of the
// index and of Config; then what was not decided is Refused.
func (g *Ingester) Batch(ctx context.Context, items []Item) ([]Result, error) {
	all := make([]entry, len(items))
	left := make([]*entry, len(items))
	for i, it := range items {
		all[i] = entry{Item: it, class: it.class()}
		all[i].decode()
		left[i] = &all[i]
	}
	err := g.batches(ctx, left)
	results := make([]Result, len(items))
	for i := range all {
		results[i] = all[i].result
		g.report(&all[i])
	}
	if err != nil && ctx.Err() == nil && items[0].Source.Session == nil { // a session's is its caller's
		g.cfg.Log.Error("store what gossip brought", "err", err)
	}
	return results, err
}

// batches applies the rules to as many entries at a time as they can look at together.
func (g *Ingester) batches(ctx context.Context, left []*entry) error {
	for len(left) > 0 {
		f, err := g.followSet.current(ctx)
		if err != nil {
			return err
		}
		n, err := g.together(ctx, f, left)
		if err != nil {
			return err
		}
		b := &batch{Ingester: g, now: g.cfg.Now(), follows: f,
			known: map[records.Fingerprint]*sign.Key{}, joined: map[joinedBlock]join{},
			pulled: map[records.Fingerprint]*sign.Key{}, standalone: map[records.Fingerprint]*entry{},
			taken: map[cid.Cid]bool{}, withRecord: map[records.Fingerprint]bool{}}
		if err := b.apply(ctx, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// together returns how many entries can be looked at before any of them is stored. A
// session's can, since nothing of it is stored when one is malformed. Of others, what
// may change a key is looked at alone, and what may change who is followed last.
func (g *Ingester) together(ctx context.Context, f *follows, left []*entry) (int, error) {
	if left[0].Source.Session != nil {
		return len(left), nil
	}
	authors := map[records.Fingerprint]bool{}
	for i, e := range left {
		if e.decided {
			continue
		}
		changes, err := g.mayChangeKey(ctx, e, authors[e.author])
		if err != nil {
			return 0, err
		}
		switch {
		case changes && i > 0:
			return i, nil
		case changes || e.class == pushedRecord && f.changedBy(e.envelope.Record()):
			return i + 1, nil
		}
		authors[e.author] = true
	}
	return len(left), nil
}

// mayChangeKey reports whether an entry's key block is looked at for itself: one that
// comes alone, and one with a revocation that is not known.
func (g *Ingester) mayChangeKey(ctx context.Context, e *entry, before bool) (bool, error) {
	if e.class != pushedRecord {
		return e.class == pushedKey, nil
	}
	said := sign.Revocations(e.block)
	if len(said) == 0 || before {
		return before && len(said) > 0, nil
	}
	have, err := g.cfg.Index.Key(ctx, e.author)
	return err == nil && have != nil && !have.HasPackets(said), err
}

// report logs what became of an entry that nobody asked for.
func (g *Ingester) report(e *entry) {
	if e.Source.Session == nil && e.result.Err != nil {
		g.cfg.Log.Debug("not taken", "peer", e.Source.Peer, "malformed", e.result.Outcome == Malformed, "cause", e.result.Err)
	}
}

// class is what the rules tell items apart by.
type class int

const (
	pushedRecord class = 1 << iota // nobody asked for it
	pushedKey
	pulledRecord // of a session
	pulledKey
	ownRecord
	ownKey
)

func (it *Item) class() class {
	c := pushedRecord
	switch {
	case it.Source.Own:
		c = ownRecord
	case it.Source.Session != nil:
		c = pulledRecord
	}
	if it.Kind == KeyBlock {
		c <<= 1 // the class of keys is next
	}
	return c
}

// An entry is an Item that the rules look at.
type entry struct {
	Item
	class    class
	author   records.Fingerprint
	block    []byte          // the key block, if there is one
	envelope sign.Unverified // of records

	followed bool // by the node, the author
	old      bool // outside of the window of times, and yet looked at
	revoked  bool // its key block has revoked more of a known key, and is stored
	key      *sign.Key
	verified sign.Verified

	decided bool
	result  Result
}

func (e *entry) decide(o Outcome, err error) {
	e.decided, e.result.Outcome, e.result.Err = true, o, err
}

// fail decides by an error about the entry: it is malformed when bytes alone are to
// blame.
func (e *entry) fail(err error) {
	if isMalformed(err) {
		e.decide(Malformed, err)
	} else {
		e.decide(Refused, err)
	}
}

// isMalformed reports whether bytes alone are to blame for the error: they are wrong
// for everybody and for ever.
func isMalformed(err error) bool {
	var format *records.FormatError
	var signature *sign.SignatureError
	var block *sign.KeyBlockError
	var foreign *foreignKeyError
	return errors.As(err, &format) || errors.As(err, &signature) || errors.As(err, &block) || errors.As(err, &foreign)
}

// foreignKeyError says that a key block is another's than what it comes with.
type foreignKeyError struct {
	have, want records.Fingerprint
}

func (e *foreignKeyError) Error() string {
	return "key block of " + e.have.String() + " came as one of " + e.want.String()
}

// decode reads what the bytes are, and decides about those that are not (SPEC.md
// [N33]): the rule before those of the table.
func (e *entry) decode() {
	envelope := e.Data
	if e.Kind == KeyBlock {
		e.block = e.Data
		author, ok := sign.BlockAuthor(e.block)
		if !ok {
			_, err := sign.ParseKey(e.block) // for what it is
			e.fail(errors.Join(err, errors.New("not a key block")))
			return
		}
		e.author = author
	} else {
		if e.Kind == Frame {
			f, err := records.DecodeFrame(e.Data)
			if err != nil {
				e.fail(err)
				return
			}
			e.block, envelope = f.Key, f.Envelope
		}
		u, err := sign.Decode(envelope)
		if err != nil {
			e.fail(err)
			return
		}
		e.envelope, e.author = u, u.Record().Author
	}
	if !e.Author.IsZero() && e.Author != e.author {
		e.fail(&foreignKeyError{e.author, e.Author})
	}
}

// what names the entry for an error.
func (e *entry) what() string {
	if e.Kind == KeyBlock {
		return "key block of " + e.author.String()
	}
	return "record " + e.envelope.ID().String()
}

// A batch is some entries that are looked at together, and what is found out for them.
type batch struct {
	*Ingester
	now     time.Time
	follows *follows

	known  map[records.Fingerprint]*sign.Key // as the index has them; nil for none
	joined map[joinedBlock]join              // of frames
	// Of a session: keys joined with what is known, those that are worth storing
	// without a record, by the last entry that brought one, and authors whose key was
	// stored with a record.
	pulled     map[records.Fingerprint]*sign.Key
	standalone map[records.Fingerprint]*entry
	withRecord map[records.Fingerprint]bool

	taken map[cid.Cid]bool // records of the batch that are about to be stored
}

// apply has each rule look at the entries that those before left undecided.
func (b *batch) apply(ctx context.Context, entries []*entry) error {
	for _, r := range rules {
		if err := malformedOf(entries); err != nil {
			return err
		}
		var concerned []*entry
		for _, e := range entries {
			if !e.decided && r.of&e.class != 0 {
				concerned = append(concerned, e)
			}
		}
		if len(concerned) == 0 {
			continue
		}
		if err := r.apply(b, ctx, concerned); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if e.revoked && e.result.Outcome != Malformed {
			e.result.Relay = true
		}
	}
	return nil
}

// malformedOf returns the error that ends a session, if an entry of one is malformed.
func malformedOf(entries []*entry) error {
	for _, e := range entries {
		if e.Source.Session != nil && e.result.Outcome == Malformed {
			return &MalformedError{fmt.Errorf("%s: %w", e.what(), e.result.Err)}
		}
	}
	return nil
}

// keyOf returns what the index knows of a key, or nil.
func (b *batch) keyOf(ctx context.Context, author records.Fingerprint) (*sign.Key, error) {
	if k, asked := b.known[author]; asked {
		return k, nil
	}
	k, err := b.cfg.Index.Key(ctx, author)
	if err == nil {
		b.known[author] = k
	}
	return k, err
}

// addKey stores what a key block says, which may change who is followed.
func (b *batch) addKey(ctx context.Context, key *sign.Key) (changed bool, err error) {
	merged, changed, err := b.cfg.Index.AddKey(ctx, key)
	if err == nil {
		b.known[key.Fingerprint()] = merged
	}
	if changed && b.follows.keys[key.Fingerprint()] {
		b.followSet.invalidate()
	}
	return changed, err
}

// isNew reports whether a record is new here by what the index did with it.
func isNew(o index.Outcome) bool {
	return o == index.Stored || o == index.Equivocation || o == index.Frozen
}
