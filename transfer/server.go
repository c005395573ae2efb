package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/modules/unixfs"
)

// Limits of serving (SPEC.md [B8] and [B9]).
const (
	maxPeerStreams = 8   // that one peer may have open
	maxStreams     = 256 // of all peers
	maxAnswers     = 64  // that are being sent at once, with a block in memory each
	maxNodeAnswers = 16  // the same of those that keep a list of up to 32,768 nodes
	slotWait       = 2 * time.Second
	pieceSize      = 64 << 10 // bytes that are written by one deadline
)

// admit takes a stream of a peer, unless there are too many.
func (x *Exchange) admit(s network.Stream) bool {
	p := s.Conn().RemotePeer()
	x.mu.Lock()
	defer x.mu.Unlock()
	total := 0
	for _, n := range x.serving {
		total += n
	}
	if x.closed || x.serving[p] >= maxPeerStreams || total >= maxStreams {
		return false
	}
	x.serving[p]++
	x.streams[s] = struct{}{}
	x.running.Add(1)
	return true
}

func (x *Exchange) release(s network.Stream) {
	p := s.Conn().RemotePeer()
	x.mu.Lock()
	if x.serving[p]--; x.serving[p] == 0 {
		delete(x.serving, p)
	}
	x.mu.Unlock()
	x.untrack(s)
}

var pieces = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, pieceSize) }}

// serve answers the requests of one stream, one after another.
func (x *Exchange) serve(ctx context.Context, s network.Stream) {
	requests := bufio.NewReader(s)
	for {
		// One deadline for the whole request.
		_ = s.SetReadDeadline(time.Now().Add(x.cfg.timeouts.idle))
		k, asked, err := readRequest(requests)
		if errors.Is(err, io.EOF) {
			_ = s.Close()
			return
		}
		if err == nil {
			err = x.answer(ctx, s, k, asked)
		}
		if err != nil {
			_ = s.Reset()
			return
		}
	}
}

// answer sends the answer to one request.
func (x *Exchange) answer(ctx context.Context, s network.Stream, k kind, asked []digest) error {
	w := pieces.Get().(*bufio.Writer)
	w.Reset(&deadlineWriter{s, x.cfg.timeouts.idle})
	defer func() { w.Reset(nil); pieces.Put(w) }()
	slots := x.slots
	if k == askNodes {
		slots = x.nodeSlots
	}
	if !await(ctx, slots) {
		return end(w)
	}
	defer func() { <-slots }()
	var err error
	if k == askNodes {
		err = x.sendNodes(ctx, s.Conn().RemotePeer(), w, asked)
	} else {
		err = x.sendBlocks(ctx, s.Conn().RemotePeer(), w, asked)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

func end(w *bufio.Writer) error {
	if _, err := w.Write(headerEnd[:]); err != nil {
		return err
	}
	return w.Flush()
}

// await waits a moment for its turn.
func await(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	late := time.NewTimer(slotWait)
	defer late.Stop()
	select {
	case slots <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func (x *Exchange) sendBlocks(ctx context.Context, p peer.ID, w *bufio.Writer, asked []digest) error {
	for _, d := range asked {
		if _, err := x.send(ctx, p, w, d, true); err != nil {
			return err
		}
	}
	return nil
}

func (x *Exchange) sendNodes(ctx context.Context, p peer.ID, w *bufio.Writer, asked []digest) error {
	list := newNodeList(asked)
	for {
		d, more := list.next()
		if !more {
			return nil
		}
		b, err := x.send(ctx, p, w, d, false)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if links, err := unixfs.Links(d.cid(false), b); err == nil {
			list.add(nodesOf(links))
		}
	}
}

// send writes the frame of one block and returns the block, or nil when it is not
// here.
func (x *Exchange) send(ctx context.Context, p peer.ID, w *bufio.Writer, d digest, raw bool) ([]byte, error) {
	b, err := x.cfg.Store.Get(ctx, d.cid(raw))
	if err != nil || len(b) > unixfs.MaxBlock {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, err := w.Write(headerAbsent[:])
		return nil, err
	}
	if x.cfg.Served != nil {
		x.cfg.Served(p)
	}
	head := frameHeader(len(b))
	if _, err := w.Write(head[:]); err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	x.mu.Lock()
	stats := x.count(p)
	stats.BlocksOut++
	stats.BytesOut += int64(len(b))
	x.mu.Unlock()
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// A deadlineWriter gives each piece of what it writes its own deadline.
type deadlineWriter struct {
	stream network.Stream
	idle   time.Duration
}

func (w *deadlineWriter) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(written+pieceSize, len(b))]
		_ = w.stream.SetWriteDeadline(time.Now().Add(w.idle))
		n, err := w.stream.Write(piece)
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// A deadlineReader gives each read its own deadline: a Read returns when anything
// has come.
type deadlineReader struct {
	stream network.Stream
	idle   time.Duration

	end  time.Time // until then the next piece has to be here
	left int       // bytes of that piece
}

// expect begins a wait.
func (r *deadlineReader) expect() {
	r.end, r.left = time.Now().Add(r.idle), pieceSize
	_ = r.stream.SetReadDeadline(r.end)
}

func (r *deadlineReader) Read(b []byte) (int, error) {
	n, err := r.stream.Read(b)
	if r.left -= n; r.left <= 0 {
		r.expect()
	}
	return n, err
}
