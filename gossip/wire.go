package gossip

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A wire is the host as pubsub sees it. pubsub neither says when a message was
// written nor ends what it started, so its streams are watched here.
type wire struct {
	host.Host
	outbox *outbox

	mu        sync.Mutex
	leaving   bool
	closed    bool
	protocols []protocol.ID
	out       map[*outStream]struct{}
	in        map[network.Stream]bool // whether its peer is in a topic
	reading   sync.WaitGroup          // one for each stream in in
}

var errLeaving = errors.New("gossip is ending")

func newWire(h host.Host, o *outbox) *wire {
	return &wire{Host: h, outbox: o, out: make(map[*outStream]struct{}), in: make(map[network.Stream]bool)}
}

// NewStream opens a stream that pubsub only writes to.
func (w *wire) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := w.Host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	o := &outStream{Stream: s, wire: w, read: make(chan struct{}), over: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving || w.closed {
		_ = s.Reset()
		return nil, errLeaving
	}
	w.out[o] = struct{}{}
	w.outbox.opened(p)
	return o, nil
}

// subscribed notes what a peer says of the topics.
func (w *wire) subscribed(p peer.ID, in bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.in {
		if s.Conn().RemotePeer() == p {
			w.in[s] = in
		}
	}
}

// subscribers returns the peers that said that they are in a topic, in streams that are open.
func (w *wire) subscribers() []peer.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []peer.ID
	for s, in := range w.in {
		if in {
			found = append(found, s.Conn().RemotePeer())
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// reset ends all streams to and from a peer.
func (w *wire) reset(p peer.ID) {
	var found []network.Stream
	w.mu.Lock()
	for s := range w.out {
		found = append(found, s)
	}
	for s := range w.in {
		found = append(found, s)
	}
	w.mu.Unlock()
	for _, s := range found {
		if s.Conn().RemotePeer() == p {
			_ = s.Reset()
		}
	}
}

func (w *wire) isLeaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaving
}

func (w *wire) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	w.mu.Lock()
	w.protocols = append(w.protocols, id)
	w.mu.Unlock()
	w.Host.SetStreamHandler(id, func(s network.Stream) {
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			_ = s.Reset()
			return
		}
		w.in[s] = false
		w.reading.Add(1)
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			delete(w.in, s)
			w.mu.Unlock()
			w.reading.Done()
		}()
		handle(s)
	})
}

// close resets all streams and returns when nobody reads from one.
func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	for _, id := range w.protocols {
		w.Host.RemoveStreamHandler(id)
	}
	for s := range w.in {
		_ = s.Reset()
	}
	var out []*outStream
	for s := range w.out {
		out = append(out, s)
	}
	w.mu.Unlock()
	for _, s := range out {
		_ = s.Reset()
	}
	w.reading.Wait()
}

// leave ends all streams and returns how many of the peers that were sent
// something had read theirs to the end. A peer shows that by ending its side.
func (w *wire) leave(ctx context.Context) (int, error) {
	w.mu.Lock()
	w.leaving = true
	var out []*outStream
	for s := range w.out {
		if w.outbox.wasInformed(s.Conn().RemotePeer()) {
			out = append(out, s)
		}
	}
	w.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		for _, s := range out {
			_ = s.SetDeadline(time.Unix(1, 0)) // a write that is stuck holds closeWrite up
		}
	})
	defer stop()
	for _, s := range out {
		s.closeWrite()
	}
	for _, s := range out {
		select {
		case <-s.read:
		case <-s.over:
		case <-ctx.Done():
		}
	}
	confirmed := 0
	for _, s := range out {
		select {
		case <-s.read:
			confirmed++
		default:
		}
	}
	if confirmed < len(out) {
		return confirmed, ctx.Err()
	}
	return confirmed, nil
}

// An outStream is a stream that pubsub writes to. pubsub also reads from it,
// to learn when the peer closes it.
type outStream struct {
	network.Stream
	wire *wire
	read chan struct{} // closed when the peer has read everything
	over chan struct{} // closed when the stream has ended in any other way
	once sync.Once

	mu   sync.Mutex
	left bool // nothing is written any more
}

// Write is called by pubsub with exactly one message.
func (s *outStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	if s.left {
		s.mu.Unlock()
		// An error would make pubsub reset the stream, and with it what
		// the peer has not read yet.
		return len(b), nil
	}
	n, err := s.Stream.Write(b)
	s.mu.Unlock()
	if err == nil {
		s.wire.outbox.wrote(s.Conn().RemotePeer(), b)
	}
	return n, err
}

func (s *outStream) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	if err := s.Stream.CloseWrite(); err != nil {
		s.end(s.over)
	}
}

func (s *outStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if errors.Is(err, io.EOF) && s.hasLeft() {
		s.end(s.read)
	} else if err != nil {
		s.end(s.over)
	}
	return n, err
}

func (s *outStream) hasLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

func (s *outStream) Close() error {
	s.end(s.over)
	return s.Stream.Close()
}

func (s *outStream) Reset() error {
	s.end(s.over)
	return s.Stream.Reset()
}

func (s *outStream) ResetWithError(code network.StreamErrorCode) error {
	s.end(s.over)
	return s.Stream.ResetWithError(code)
}

func (s *outStream) end(how chan struct{}) {
	s.once.Do(func() {
		close(how)
		s.wire.mu.Lock()
		delete(s.wire.out, s)
		s.wire.mu.Unlock()
		s.wire.outbox.closed(s.Conn().RemotePeer())
	})
}
