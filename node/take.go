package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// taker stores what peers answer when they are asked for the records that this
// node lacks (SPEC.md [N42]). Unlike gossip it sets no rates: this node asked.
type taker struct {
	judge *judge

	mu sync.Mutex
	// The records that a session has brought so far and that may be passed on, at
	// most one more than tellMost.
	news map[peer.ID][]cid.Cid
	// The last key block that each peer sent of an author with no record here:
	// the author's records come next, and until then it is not worth keeping.
	ahead map[peer.ID]*sign.Key
	// How many key blocks each peer has sent of the author whose items come now.
	blocks map[peer.ID]sentBlocks
}

type sentBlocks struct {
	author records.Fingerprint
	count  int
}

// mostBlocks is how many key blocks of one author a session may bring. A set has one,
// and another when it changes meanwhile; each that brings news makes all records of
// the author be looked at again.
const mostBlocks = 4

// tellMost is how many records a pull may bring that are announced to others: when
// it is few, they may have missed them too. When it is more, all are pulling.
const tellMost = 32

func newTaker(j *judge) *taker {
	return &taker{judge: j, ahead: map[peer.ID]*sign.Key{}, news: map[peer.ID][]cid.Cid{}, blocks: map[peer.ID]sentBlocks{}}
}

// forget ends a session with a peer, and returns what it brought when that is worth
// announcing.
func (t *taker) forget(from peer.ID) (news []cid.Cid) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if news = t.news[from]; len(news) > tellMost {
		news = nil
	}
	delete(t.news, from)
	delete(t.ahead, from)
	delete(t.blocks, from)
	return news
}

// batch is one call of take.
type batch struct {
	*taker
	from     peer.ID
	standing map[records.Fingerprint]standing
	keys     map[records.Fingerprint]*sign.Key // joined with what the index knows
	alone    map[records.Fingerprint]*sign.Key // those worth storing without a record
	reconcile.Taken
}

type standing struct{ trusted, denied bool }

// take verifies items and stores those that count. The items of an author come
// together, the key block first. The error is a *reconcile.OffenceError when bytes
// are wrong for ever; none of these items is stored then.
func (t *taker) take(ctx context.Context, from peer.ID, items []records.Item) (reconcile.Taken, error) {
	if _, err := t.judge.circle.current(ctx, t.judge); err != nil {
		return reconcile.Taken{}, err
	}
	b := &batch{taker: t, from: from, standing: map[records.Fingerprint]standing{}, keys: map[records.Fingerprint]*sign.Key{}, alone: map[records.Fingerprint]*sign.Key{}}
	var envelopes []records.Item
	for _, it := range items {
		author := it.Element.Author()
		if b.stands(author).denied {
			b.Refused++
			continue
		}
		if it.Element.Kind() == records.ElementRecord {
			envelopes = append(envelopes, it)
		} else if err := b.key(ctx, author, it.Bytes); err != nil {
			return reconcile.Taken{}, blame(from, fmt.Errorf("key block of %s: %w", author, err))
		}
	}
	verified, err := b.verify(ctx, envelopes)
	if err != nil {
		return reconcile.Taken{}, blame(from, err)
	}
	err = b.store(ctx, verified)
	return b.Taken, err
}

// blame makes an error one of the peer when bytes are to blame.
func blame(from peer.ID, err error) error {
	if isWrong(err) {
		return &reconcile.OffenceError{Peer: from, Err: err}
	}
	return err
}

func (b *batch) stands(author records.Fingerprint) standing {
	s, ok := b.standing[author]
	if !ok {
		s.trusted, s.denied = b.judge.standing(author)
		b.standing[author] = s
	}
	return s
}

// key joins a key block with what is known of the key.
func (b *batch) key(ctx context.Context, author records.Fingerprint, block []byte) error {
	if !b.another(author) {
		b.Refused++
		return nil
	}
	key, known, err := b.judge.join(ctx, block, author)
	if err != nil {
		return err
	}
	if before := b.keys[author]; before != nil {
		if key, err = before.Merge(key); err != nil {
			return err
		}
	}
	b.keys[author] = key
	if known || b.stands(author).trusted {
		b.alone[author] = key
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead[b.from] = key
	return nil
}

// another counts one more key block of an author, and reports whether it is worth
// looking at.
func (b *batch) another(author records.Fingerprint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent := b.blocks[b.from]
	if sent.author != author {
		sent = sentBlocks{author: author}
	}
	sent.count++
	b.blocks[b.from] = sent
	return sent.count <= mostBlocks
}

// keyOf returns the key to verify the author's records by, or nil.
func (b *batch) keyOf(ctx context.Context, author records.Fingerprint) (*sign.Key, error) {
	if k := b.keys[author]; k != nil {
		return k, nil
	}
	k, err := b.judge.index.Key(ctx, author)
	if err != nil {
		return nil, err
	}
	if k == nil {
		b.mu.Lock()
		if a := b.ahead[b.from]; a != nil && a.Fingerprint() == author {
			k = a
		}
		b.mu.Unlock()
	}
	b.keys[author] = k
	return k, nil
}

// verify opens the envelopes on all cores and returns those that count.
func (b *batch) verify(ctx context.Context, envelopes []records.Item) ([]index.Item, error) {
	opened := make([]*sign.Verified, len(envelopes))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.NumCPU())
	for i, it := range envelopes {
		author := it.Element.Author()
		key, err := b.keyOf(ctx, author)
		if err != nil {
			return nil, errors.Join(err, workers.Wait())
		}
		if key == nil {
			continue
		}
		workers.Go(func() error {
			v, err := sign.Open(it.Bytes, sign.KeyRing{author: key})
			switch {
			case err == nil:
				opened[i] = &v
			case isWrong(err):
				return fmt.Errorf("record %s: %w", it.Element.Record(), err)
			}
			return ctx.Err()
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, err
	}
	var good []index.Item
	for i, v := range opened {
		author := envelopes[i].Element.Author()
		if v == nil || !b.stands(author).trusted && b.isFuture(v.Record().Time) {
			b.Refused++
			continue
		}
		good = append(good, index.Item{Verified: *v, Key: b.keys[author], Source: index.Source{Peer: b.from.String(), Stranger: !b.stands(author).trusted}})
	}
	return good, nil
}

// note keeps in mind a record that this node would pass on if it came by gossip.
func (b *batch) note(v sign.Verified) {
	r := v.Record()
	if !b.judge.fresh(time.Unix(r.Time, 0)) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.news[b.from]) <= tellMost && b.judge.quota.take(r.Author, b.judge.originOf(b.from), b.stands(r.Author).trusted, b.judge.now()) {
		b.news[b.from] = append(b.news[b.from], v.ID())
	}
}

func (b *batch) isFuture(seconds int64) bool {
	return time.Unix(seconds, 0).After(b.judge.now().Add(maxFuture))
}

func (b *batch) store(ctx context.Context, items []index.Item) error {
	results, err := b.judge.index.AddAll(ctx, items)
	if err != nil {
		return err
	}
	stored := map[records.Fingerprint]bool{}
	for i, r := range results {
		switch r.Outcome {
		case index.Refused:
			b.Refused++
		case index.Stored, index.Equivocation, index.Frozen:
			b.Records++
			stored[items[i].Verified.Record().Author] = true
			b.judge.circle.learn(items[i].Verified.Record())
			b.judge.stored(ctx, items[i].Verified, r.Outcome)
			b.note(items[i].Verified)
		}
	}
	for _, key := range b.alone {
		if stored[key.Fingerprint()] {
			continue // stored with the records
		}
		_, changed, err := b.judge.index.AddKey(ctx, key)
		if err != nil {
			return err
		}
		if changed {
			b.Keys++
		}
	}
	return nil
}
