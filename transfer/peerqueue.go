package transfer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/modules/unixfs"
)

const (
	streamsPerPeer = 4 // to one peer
	depth          = 4 // requests that are out on one stream
	maxBusy        = 5 // times in a row that a peer may be busy
	openTimeout    = 10 * time.Second
)

// A peerQueue is a peer that is asked. Its fields are guarded by x.mu.
type peerQueue struct {
	x       *Exchange
	peer    peer.ID
	streams []*stream
	gone    bool // it failed, or nobody uses it
	busy    int
	pause   time.Time // until then it is not asked
}

// A stream has requests out, which are answered in order.
type stream struct {
	queue  *peerQueue
	out    []*request
	asks   chan *request // not written yet
	closed bool
	cancel context.CancelFunc
	s      network.Stream // nil until it is open
}

// assign gives l one request, and reports whether there was one that it could
// take. It is called with x.mu held.
func (x *Exchange) assign(l *peerQueue) bool {
	if l.gone || x.closed || time.Now().Before(l.pause) {
		return false
	}
	st := l.leastLoaded()
	if st != nil && len(st.out) == depth {
		return false
	}
	r := x.pick(l)
	if r == nil {
		return false
	}
	if st == nil {
		st = x.newStream(l)
	}
	st.out = append(st.out, r)
	st.asks <- r
	return true
}

// pick takes the next request for l, from one job after another.
func (x *Exchange) pick(l *peerQueue) *request {
	idle := !slices.ContainsFunc(l.streams, func(st *stream) bool { return len(st.out) > 0 })
	for i, j := range x.jobs {
		if r := j.next(l, idle); r != nil {
			x.jobs = append(x.jobs[:i], append(x.jobs[i+1:], j)...)
			return r
		}
	}
	return nil
}

// leastLoaded returns the stream for the next request, or nil for a new one.
func (l *peerQueue) leastLoaded() *stream {
	var best *stream
	for _, st := range l.streams {
		if best == nil || len(st.out) < len(best.out) {
			best = st
		}
	}
	if best != nil && len(best.out) > 0 && len(l.streams) < streamsPerPeer {
		return nil
	}
	return best
}

func (x *Exchange) newStream(l *peerQueue) *stream {
	// It outlives the fetch that it is opened for; Run cancels it.
	ctx, cancel := context.WithCancel(context.Background())
	st := &stream{queue: l, asks: make(chan *request, depth), cancel: cancel}
	l.streams = append(l.streams, st)
	x.running.Add(1)
	go func() {
		defer x.running.Done()
		defer cancel()
		x.failed(l, x.runStream(ctx, st))
	}()
	return st
}

// runStream opens a stream, writes requests and reads their answers until it is
// not used for a while. A nil error means that the stream is no longer of l.
func (x *Exchange) runStream(ctx context.Context, st *stream) error {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	s, err := x.host.NewStream(opening, st.queue.peer, ID)
	cancel()
	if err != nil {
		return err
	}
	if !x.track(s) {
		_ = s.Reset()
		return context.Canceled
	}
	defer x.untrack(s)
	x.mu.Lock()
	st.s = s
	gone := st.queue.gone
	x.mu.Unlock()
	if gone {
		_ = s.Reset()
		return context.Canceled
	}
	written := make(chan *request, depth)
	x.running.Add(1)
	go func() {
		defer x.running.Done()
		defer close(written)
		writeRequests(s, x.cfg.timeouts.idle, st.asks, written)
	}()
	if err := x.readAnswers(ctx, st, written); err != nil {
		_ = s.Reset()
		return err
	}
	return s.Close()
}

// writeRequests ends when asks is closed or a request cannot be written.
func writeRequests(s network.Stream, idle time.Duration, asks <-chan *request, written chan<- *request) {
	var b []byte
	for r := range asks {
		b = appendRequest(b[:0], r.kind, r.asked)
		_ = s.SetWriteDeadline(time.Now().Add(idle))
		if _, err := s.Write(b); err != nil {
			return
		}
		written <- r
	}
}

var errWrite = errors.New("a request could not be written")

// readAnswers returns nil when the stream was not used for a while.
func (x *Exchange) readAnswers(ctx context.Context, st *stream, written <-chan *request) error {
	in := &deadlineReader{stream: st.s, idle: x.cfg.timeouts.idle}
	answers := bufio.NewReaderSize(in, pieceSize)
	unused := time.NewTimer(streamPause)
	defer unused.Stop()
	var buf []byte
	for {
		unused.Reset(streamPause)
		select {
		case r, ok := <-written:
			if !ok {
				return errWrite
			}
			var err error
			if buf, err = x.readAnswer(ctx, st, r, in, answers, buf); err != nil {
				return err
			}
			x.finish(st, r)
		case <-unused.C:
			if x.leave(st) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave closes a stream that nothing is out on.
func (x *Exchange) leave(st *stream) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(st.out) > 0 {
		return false
	}
	x.remove(st)
	x.retire(st.queue)
	return true
}

// remove is called with x.mu held.
func (x *Exchange) remove(st *stream) {
	if !st.closed {
		st.closed = true
		close(st.asks)
	}
	st.queue.streams = slices.DeleteFunc(st.queue.streams, func(other *stream) bool { return other == st })
}

// finish makes room for the next request.
func (x *Exchange) finish(st *stream, r *request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st.out = slices.DeleteFunc(st.out, func(other *request) bool { return other == r })
	r.job.requeue(r)
	if !r.job.ended {
		x.dispatch(r.job)
	}
	for x.assign(st.queue) {
		continue
	}
}

// failed ends a queue: everything it was asked for is to be asked of others.
func (x *Exchange) failed(l *peerQueue, err error) {
	if err == nil {
		return
	}
	x.mu.Lock()
	first := !l.gone
	l.gone = true
	if x.queues[l.peer] == l {
		delete(x.queues, l.peer)
	}
	var offence *OffenceError
	switch {
	case !first:
	case errors.As(err, &offence):
		x.banned.Add(l.peer, time.Now().Add(integrityBan))
	case isTimeout(err):
		x.banned.Add(l.peer, time.Now().Add(stallBan))
	}
	for _, st := range slices.Clone(l.streams) {
		x.remove(st)
		st.cancel()
		if st.s != nil {
			_ = st.s.Reset()
		}
		for _, r := range st.out {
			r.job.requeue(r)
		}
		st.out = nil
	}
	for _, j := range slices.Clone(x.jobs) {
		if slices.Contains(j.queues, l) {
			x.dispatch(j)
			j.wakeUp()
		}
	}
	x.mu.Unlock()
	if first && offence != nil && x.cfg.Offence != nil {
		x.cfg.Offence(l.peer, err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// readAnswer takes the frames of one answer.
func (x *Exchange) readAnswer(ctx context.Context, st *stream, r *request, in *deadlineReader, answers *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		x.mu.Lock()
		d, it, more := r.next()
		r.now = it
		x.mu.Unlock()
		if !more {
			return buf, nil
		}
		in.expect()
		f, block, err := readFrame(answers, buf)
		buf = block
		if err != nil {
			x.requeueItem(r, it)
			return buf, err
		}
		switch f {
		case isEnd:
			x.requeueItem(r, it)
			return buf, x.markBusy(st.queue)
		case isAbsent:
			x.markLacking(r, it)
		case isBlock:
			if err := x.storeBlock(ctx, r, d, it, block); err != nil {
				x.requeueItem(r, it)
				return buf, err
			}
		}
	}
}

// requeueItem has the item asked for again whose frame did not come.
func (x *Exchange) requeueItem(r *request, it *item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if it != nil {
		it.asked--
		r.job.queue([]*item{it})
	}
}

var errBusy = errors.New("the peer is busy")

// markBusy lets a peer alone for a while, or for good when it always is.
func (x *Exchange) markBusy(l *peerQueue) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	if now.Before(l.pause) {
		return nil // another stream has said so
	}
	if l.busy++; l.busy == maxBusy {
		return errBusy
	}
	l.pause = now.Add(x.cfg.timeouts.busy)
	return nil
}

func (x *Exchange) markLacking(r *request, it *item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if it == nil {
		return
	}
	if place := slices.Index(r.job.queues, r.queue); place >= 0 {
		it.lacks |= 1 << place
	}
	it.asked--
	r.job.queue([]*item{it})
}

// storeBlock verifies and stores a block, and finds out what it links to. The error is
// the peer's fault; what is not ends the job.
func (x *Exchange) storeBlock(ctx context.Context, r *request, d digest, it *item, block []byte) error {
	if sha256.Sum256(block) != d {
		return &OffenceError{"a block with another hash"}
	}
	j := r.job
	x.mu.Lock()
	needed := it != nil && !it.here && !j.ended && j.err == nil
	r.queue.busy = 0
	stats := x.count(r.queue.peer)
	stats.BlocksIn++
	stats.BytesIn += int64(len(block))
	x.mu.Unlock()
	var err error
	if needed {
		err = x.cfg.Store.Put(ctx, it.digest.cid(it.raw), block)
	}
	if err == nil && r.kind == askNodes {
		err = x.addLinks(ctx, r, d, block)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if it != nil {
		it.asked--
	}
	if err == nil && needed && !it.here {
		err = j.arrived(it, r.queue.peer, len(block))
	}
	if err != nil {
		j.fail(err)
	}
	return nil
}

// addLinks registers what a node links to. What its peer sends next is not asked
// for twice.
func (x *Exchange) addLinks(ctx context.Context, r *request, d digest, block []byte) error {
	links, err := unixfs.Links(d.cid(false), block)
	if err != nil {
		return err
	}
	j := r.job
	x.mu.Lock()
	over := j.ended || j.err != nil
	x.mu.Unlock()
	var fresh []*item
	if !over {
		if fresh, err = j.discover(ctx, links); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, out := j.out[r]; out {
		before := len(r.list.waiting)
		r.list.add(nodesOf(links))
		for _, d := range r.list.waiting[before:] {
			if child := j.items[key{d, false}]; child != nil {
				child.asked++
			}
		}
	}
	j.queue(fresh)
	if !j.ended {
		x.dispatch(j)
	}
	return nil
}
