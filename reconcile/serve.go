package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
)

const (
	// few elements are named at once instead of being split further.
	few = 32
	// itemsFrame is about how many bytes of items go into one frame.
	itemsFrame = 256 << 10
	// reserve is what an answerer keeps of a session's bytes, so that it can
	// still say that they are used up.
	reserve = 128
	// entryRoom is more than any entry takes up.
	entryRoom = 8 << 10
	// itemRoom is more than an item takes up besides its bytes.
	itemRoom = 64
)

// answerer serves one session.
type answerer struct {
	*stream
	r     *Reconcile
	place *served
	peer  peer.ID
	// fresh until the first turn, which pays for the session
	fresh bool
}

// serve answers the requests of one stream until it ends.
func (r *Reconcile) serve(ctx context.Context, s network.Stream) {
	from := s.Conn().RemotePeer()
	now := time.Now()
	a := &answerer{stream: newStream(s, r.cfg.Limits, now), r: r, peer: from, fresh: true}
	a.place = r.newServed(s)
	if !r.admit.enter(a.place, now) {
		a.refuse(refusedBusy)
		return
	}
	defer r.admit.leave(a.place)
	ctx, cancel := context.WithDeadline(ctx, a.end)
	defer cancel()
	if err := a.session(ctx); err != nil {
		r.cfg.Log.Debug("session ended", "peer", from.String(), "cause", err)
	}
}

// newServed is a place for the session of a stream.
func (r *Reconcile) newServed(s network.Stream) *served {
	p := s.Conn().RemotePeer()
	seat := &served{peer: p, payer: string(p), yield: func() { _ = s.Reset() }}
	if r.cfg.Chosen != nil && r.cfg.Chosen(p) {
		seat.chosen = true
		return seat
	}
	if r.cfg.Origin != nil {
		seat.payer = "from " + r.cfg.Origin(s.Conn())
	}
	return seat
}

// refuse ends the session and says why.
func (a *answerer) refuse(code refusal) {
	if a.over() {
		a.end = time.Now().Add(time.Second) // the session is over, its last word is not
	}
	if a.writeFrame(encodeRefused(code)) != nil {
		_ = a.Reset()
		return
	}
	_ = a.Close()
}

func (a *answerer) session(ctx context.Context) error {
	for n := 0; ; n++ {
		body, err := a.request()
		var bad offence
		switch {
		case errors.Is(err, io.EOF):
			return a.Close()
		case errors.As(err, &bad):
			return a.offended(bad)
		case errors.Is(err, errBudget):
			a.refuse(refusedLimit)
			return err
		case err != nil && a.over():
			a.refuse(refusedLimit)
			return err
		case err != nil:
			_ = a.Reset()
			return err
		case n == a.r.cfg.Limits.Requests:
			a.refuse(refusedLimit)
			return fmt.Errorf("more than %d requests", n)
		}
		q, err := decodeRequest(body)
		if err != nil {
			return a.offended(err)
		}
		if err := a.answer(ctx, q); err != nil {
			return err
		}
	}
}

func (a *answerer) offended(err error) error {
	a.refuse(refusedBad)
	if a.r.cfg.Offence != nil {
		a.r.cfg.Offence(a.peer, err)
	}
	return err
}

// request reads the next request. From the first message of an answer on, it is
// the asker who is waited for.
func (a *answerer) request() ([]byte, error) {
	a.r.admit.wait(a.place, true, time.Now())
	body, err := a.readFrame()
	if err == nil {
		a.r.admit.wait(a.place, false, time.Now())
	}
	return body, err
}

func (a *answerer) send(body []byte) error {
	a.r.admit.wait(a.place, true, time.Now())
	return a.writeFrame(body)
}

func (a *answerer) answer(ctx context.Context, q request) error {
	before := a.sent + a.received
	var err error
	if q.kind == typeCompare {
		err = a.compare(ctx, q)
	} else {
		err = a.get(ctx, q)
	}
	a.r.admit.charge(a.place, a.sent+a.received-before)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, refusedBusy):
		a.refuse(refusedBusy)
	case errors.Is(err, errBudget) || a.over():
		a.refuse(refusedLimit)
	case errors.Is(err, errOwn):
		a.r.cfg.Log.Warn("cannot answer a peer", "peer", a.peer.String(), "cause", err)
		a.refuse(refusedFailed)
	default:
		_ = a.Reset()
	}
	return err
}

// turn calls f when it is this session's turn. f returns what it has cost.
func (a *answerer) turn(ctx context.Context, f func(limit int64) (cost int64, err error)) error {
	a.r.admit.wait(a.place, false, time.Now())
	limit, err := a.r.admit.begin(ctx, a.place)
	if err != nil {
		return err
	}
	var cost int64
	defer func() { a.r.admit.done(a.place, cost) }()
	if a.fresh {
		a.fresh, cost = false, sessionCost
	}
	more, err := f(limit)
	cost += more
	return err
}

// errOwn marks errors of the set and the source.
var errOwn = errors.New("read the set")

func own(err error) error { return fmt.Errorf("%w: %w", errOwn, err) }

// compare answers for as many of the ranges as one message, the session and a turn
// have room for.
func (a *answerer) compare(ctx context.Context, q request) error {
	room := min(maxFrame, a.left-reserve)
	b := []byte{typeCompared}
	err := a.turn(ctx, func(limit int64) (cost int64, err error) {
		err = a.r.view(ctx, func(v View) error {
			elements := 0
			for i, r := range q.ranges {
				if room-len(b) < entryRoom || elements > maxElements-maxListed || cost > limit {
					if i == 0 {
						return errBudget
					}
					break
				}
				e, err := a.entry(ctx, v, r, q.parts)
				cost = int64(i+1)*rangeCost + v.Work()*elementCost
				if err != nil {
					return own(err)
				}
				elements += len(e.elements)
				b = e.append(b, r.Range)
			}
			return nil
		})
		return cost, err
	})
	if err != nil {
		return err
	}
	return a.send(b)
}

func (a *answerer) entry(ctx context.Context, set View, r rangeRequest, parts int) (entry, error) {
	sum, err := set.Sum(ctx, r.Range)
	switch {
	case err != nil:
		return entry{}, err
	case sum.Fingerprint() == r.fingerprint:
		return entry{kind: entryEqual}, nil
	case parts == 1:
		return entry{kind: entryParts, parts: []part{{r.Range, sum.Fingerprint(), sum.Count}}}, nil
	}
	if sum.Count > few {
		split, err := set.Split(ctx, r.Range, parts)
		if err != nil {
			return entry{}, err
		}
		if len(split) > 1 { // one part when the set has shrunk meanwhile
			e := entry{kind: entryParts}
			for _, s := range split {
				e.parts = append(e.parts, part{s.Range, s.Sum.Fingerprint(), s.Sum.Count})
			}
			return e, nil
		}
	}
	elements, err := set.Elements(ctx, r.Range, maxListed)
	return entry{kind: entryElements, elements: elements}, err
}

// get streams what the ranges hold until the session has no room or time left.
func (a *answerer) get(ctx context.Context, q request) error {
	out := itemFrames{answerer: a}
	for _, r := range q.scope() {
		for before(r.From, r.To) {
			if time.Until(a.end) < time.Second && out.any {
				return out.finish(r.From)
			}
			items, left, err := a.items(ctx, r, out.room())
			if err != nil {
				return err
			}
			for _, it := range items {
				if full, err := out.add(it); err != nil {
					return err
				} else if full {
					return out.finish(string(it.Element))
				}
			}
			if left == (records.Range{}) {
				break
			}
			r = left
		}
	}
	return out.finish("")
}

// items reads some of what a range holds, in a turn.
func (a *answerer) items(ctx context.Context, r records.Range, room int) (items []records.Item, left records.Range, err error) {
	err = a.turn(ctx, func(int64) (int64, error) {
		var err error
		if items, left, err = a.r.cfg.Source.Items(ctx, r, room); err != nil {
			err = own(err)
		}
		return readCost + int64(len(items))*elementCost, err
	})
	return items, left, err
}

// itemFrames collects items into messages.
type itemFrames struct {
	*answerer
	body  []byte
	count int
	last  string
	any   bool // something was added
}

// room is about how many bytes of items are worth reading.
func (f *itemFrames) room() int {
	return max(1, min(itemsFrame-len(f.body), f.left-len(f.body)-reserve))
}

// add reports whether the session has no room for the item.
func (f *itemFrames) add(it records.Item) (full bool, err error) {
	// The end must fit too: it has at most maxBound bytes, reserve is more.
	if len(f.body)+len(it.Bytes)+itemRoom+4 > f.left-reserve {
		return true, nil
	}
	if f.count == 0 {
		f.body = append(f.body[:0], typeItems)
		f.last = ""
	}
	f.body = appendItem(f.body, f.last, it)
	f.last = head(it.Element)
	f.any = true
	f.count++
	if len(f.body) >= itemsFrame || f.count == maxElements {
		return false, f.flush()
	}
	return false, nil
}

func (f *itemFrames) flush() error {
	if f.count == 0 {
		return nil
	}
	f.count = 0
	err := f.send(f.body)
	f.body = f.body[:0]
	return err
}

func (f *itemFrames) finish(position string) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.send(encodeEnd(position))
}
