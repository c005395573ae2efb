package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

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

var pieces = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, pieceSize) }}

// serve answers the requests of one stream, one after another.
func (x *Exchange) serve(ctx context.Context, at *seat) {
	s := at.stream
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
			x.note(at, false)
			err = x.answer(ctx, s, k, asked)
			x.note(at, true)
		}
		if err != nil {
			_ = s.Reset()
			return
		}
	}
}

// answer sends the answer to one request.
func (x *Exchange) answer(ctx context.Context, s network.Stream, k kind, asked []digest) error {
	sending, all := &answer{peer: s.Conn().RemotePeer(), payer: x.payerOf(s.Conn()), stream: s, idle: x.cfg.timeouts.idle, begun: make(chan struct{})}, x.blockAnswers
	if k == askNodes {
		all = x.nodeAnswers
	}
	w := pieces.Get().(*bufio.Writer)
	w.Reset(sending)
	defer func() { w.Reset(nil); pieces.Put(w) }()
	if !all.begin(ctx, sending) {
		return end(w)
	}
	defer all.done(sending)
	var err error
	if k == askNodes {
		err = x.sendNodes(ctx, sending, w, asked)
	} else {
		err = x.sendBlocks(ctx, sending, w, asked)
	}
	if errors.Is(err, errMadeWay) {
		return end(w)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// errMadeWay says that an answer ends for another one.
var errMadeWay = errors.New("the answer has made way")

func end(w *bufio.Writer) error {
	if _, err := w.Write(headerEnd[:]); err != nil {
		return err
	}
	return w.Flush()
}

func (x *Exchange) sendBlocks(ctx context.Context, to *answer, w *bufio.Writer, asked []digest) error {
	for _, d := range asked {
		if _, err := x.send(ctx, to, w, d, true); err != nil {
			return err
		}
	}
	return nil
}

func (x *Exchange) sendNodes(ctx context.Context, to *answer, w *bufio.Writer, asked []digest) error {
	list := newNodeList(asked)
	for {
		d, more := list.next()
		if !more {
			return nil
		}
		b, err := x.send(ctx, to, w, d, false)
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
func (x *Exchange) send(ctx context.Context, to *answer, w *bufio.Writer, d digest, raw bool) ([]byte, error) {
	if to.isEnding() {
		return nil, errMadeWay
	}
	b, err := x.cfg.Store.Get(ctx, d.cid(raw))
	if err != nil || len(b) > unixfs.MaxBlock {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, err := w.Write(headerAbsent[:])
		return nil, err
	}
	if x.cfg.Served != nil {
		x.cfg.Served(to.peer)
	}
	head := frameHeader(len(b))
	if _, err := w.Write(head[:]); err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	x.mu.Lock()
	stats := x.count(to.peer)
	stats.BlocksOut++
	stats.BytesOut += int64(len(b))
	x.mu.Unlock()
	if b == nil {
		b = []byte{}
	}
	return b, nil
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
