package transfer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// yieldGrace is how long an answer that is to make room for another may still take.
const yieldGrace = time.Second

// A seat is a stream that a peer has opened.
type seat struct {
	stream network.Stream
	payer  string
	since  time.Time // of its last request or answer
	idle   bool      // no answer is under way
}

// payerOf is whom a peer's streams and answers are charged to (SPEC.md [E370]).
func (x *Exchange) payerOf(c network.Conn) string {
	p := c.RemotePeer()
	if x.cfg.Origin == nil || x.cfg.Chosen != nil && x.cfg.Chosen(p) {
		return string(p)
	}
	return "from " + x.cfg.Origin(c)
}

// admit takes a stream of a peer, unless there are too many. When all places are taken,
// whoever has most gives one to who has fewer.
func (x *Exchange) admit(s network.Stream) *seat {
	p, payer := s.Conn().RemotePeer(), x.payerOf(s.Conn())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.serving[p] >= maxPeerStreams {
		return nil
	}
	if len(x.seats) >= maxStreams {
		last := x.mostSeated(payer)
		if last == nil {
			return nil
		}
		delete(x.seats, last.stream)
		_ = last.stream.ResetWithError(network.StreamResourceLimitExceeded)
	}
	new := &seat{stream: s, payer: payer, since: time.Now(), idle: true}
	x.seats[s] = new
	x.serving[p]++
	x.streams[s] = struct{}{}
	x.running.Add(1)
	return new
}

// mostSeated is the stream that has been quiet for longest, of the payer who has most
// streams, if these are more than payer's would be.
func (x *Exchange) mostSeated(payer string) (last *seat) {
	count := map[string]int{}
	for _, s := range x.seats {
		count[s.payer]++
	}
	most := payer
	for other, n := range count {
		if n > count[most] {
			most = other
		}
	}
	if count[most] < count[payer]+2 {
		return nil
	}
	for _, s := range x.seats {
		if s.payer == most && (last == nil || s.idle && !last.idle || s.idle == last.idle && s.since.Before(last.since)) {
			last = s
		}
	}
	return last
}

// note says whether an answer is under way on a stream.
func (x *Exchange) note(s *seat, idle bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s.idle, s.since = idle, time.Now()
}

func (x *Exchange) release(s network.Stream) {
	p := s.Conn().RemotePeer()
	x.mu.Lock()
	delete(x.seats, s)
	if x.serving[p]--; x.serving[p] == 0 {
		delete(x.serving, p)
	}
	x.mu.Unlock()
	x.untrack(s)
}

// answers are the answers that are being sent at once. When there are as many as may be,
// whoever has most ends one for who has fewer.
type answers struct {
	mu      sync.Mutex
	free    int
	sending map[string][]*answer // by payer
	waiting []*answer
}

func newAnswers(n int) *answers { return &answers{free: n, sending: map[string][]*answer{}} }

// An answer is one that is being sent, or waits to be.
type answer struct {
	peer   peer.ID
	payer  string
	stream network.Stream
	idle   time.Duration // until its asker has to have taken what is being sent
	begun  chan struct{}

	mu    sync.Mutex
	since time.Time // when the asker was given what it has not taken yet
	end   time.Time // of an answer that is to make room, or zero
}

// begin waits a moment for its turn, and reports whether it has come. Then done has to
// be called.
func (a *answers) begin(ctx context.Context, one *answer) bool {
	a.mu.Lock()
	if a.free > 0 {
		a.free--
		a.start(one)
		a.mu.Unlock()
		return true
	}
	a.waiting = append(a.waiting, one)
	a.makeRoom(one.payer)
	a.mu.Unlock()
	late := time.NewTimer(slotWait)
	defer late.Stop()
	select {
	case <-one.begun:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.waiting, one); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
		return false
	}
	return true
}

// start is called with a.mu held.
func (a *answers) start(one *answer) {
	one.mu.Lock()
	one.since = time.Now()
	one.mu.Unlock()
	a.sending[one.payer] = append(a.sending[one.payer], one)
	close(one.begun)
}

// makeRoom ends the answer that has been kept waiting for longest by its asker, of the
// payer who has most, if these are more than payer would have.
func (a *answers) makeRoom(payer string) {
	want := len(a.sending[payer])
	for _, w := range a.waiting {
		if w.payer == payer {
			want++
		}
	}
	var most []*answer
	for _, sending := range a.sending {
		if going := slices.DeleteFunc(slices.Clone(sending), (*answer).isEnding); len(going) > len(most) {
			most = going
		}
	}
	if len(most) > want {
		slices.MinFunc(most, func(b, c *answer) int { return b.waitsSince().Compare(c.waitsSince()) }).makeWay()
	}
}

// done gives the place of an answer to who has fewest.
func (a *answers) done(one *answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := slices.DeleteFunc(a.sending[one.payer], func(b *answer) bool { return b == one })
	if a.sending[one.payer] = left; len(left) == 0 {
		delete(a.sending, one.payer)
	}
	if len(a.waiting) == 0 {
		a.free++
		return
	}
	next := slices.MinFunc(a.waiting, func(b, c *answer) int { return len(a.sending[b.payer]) - len(a.sending[c.payer]) })
	a.waiting = slices.DeleteFunc(a.waiting, func(b *answer) bool { return b == next })
	a.start(next)
}

func (o *answer) isEnding() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.end.IsZero()
}

func (o *answer) waitsSince() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// makeWay has the answer end: with the block that is being sent, or a moment later.
func (o *answer) makeWay() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = time.Now().Add(yieldGrace)
	_ = o.stream.SetWriteDeadline(o.end)
}

// Write gives each piece of what it writes its own deadline.
func (o *answer) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(written+pieceSize, len(b))]
		o.mu.Lock()
		if o.since = time.Now(); o.end.IsZero() {
			_ = o.stream.SetWriteDeadline(o.since.Add(o.idle))
		}
		o.mu.Unlock()
		n, err := o.stream.Write(piece)
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}
