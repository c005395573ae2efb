package swarm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// IdleStream is how long a peer may keep a stream open without sending on it, or
// without taking what is sent (docs/program.md [N23]).
const IdleStream = 20 * time.Second

// AwaitProtocols waits until h offers the protocols. Peers should hear of them when they are
// met: of later changes libp2p reads ten from a /24, and then one every 5 s.
func AwaitProtocols(ctx context.Context, h host.Host, protocols ...protocol.ID) error {
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalProtocolsUpdated))
	if err != nil {
		return fmt.Errorf("watch what is offered: %w", err)
	}
	defer sub.Close()
	for {
		have := h.Mux().Protocols()
		if !slices.ContainsFunc(protocols, func(p protocol.ID) bool { return !slices.Contains(have, p) }) {
			return nil
		}
		select {
		case <-sub.Out():
		case <-ctx.Done():
			return nil
		}
	}
}

// boundedHost is a host whose streams from peers end when nothing moves on them.
// Libraries that wait for ever get it in place of the host itself.
type boundedHost struct {
	host.Host
	idle time.Duration
}

// SetStreamHandler implements host.Host.
func (h boundedHost) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, h.bounded(handle))
}

// SetStreamHandlerMatch implements host.Host.
func (h boundedHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, handle network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.bounded(handle))
}

func (h boundedHost) bounded(handle network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) { handle(&boundedStream{Stream: s, idle: h.idle}) }
}

// boundedStream gives each read and write a deadline of its own, in place of those
// that its user sets.
type boundedStream struct {
	network.Stream
	idle time.Duration
}

func (s *boundedStream) Read(b []byte) (int, error) {
	if err := s.Stream.SetReadDeadline(time.Now().Add(s.idle)); err != nil {
		return 0, err
	}
	return s.Stream.Read(b)
}

func (s *boundedStream) Write(b []byte) (int, error) {
	if err := s.Stream.SetWriteDeadline(time.Now().Add(s.idle)); err != nil {
		return 0, err
	}
	return s.Stream.Write(b)
}

func (s *boundedStream) SetDeadline(time.Time) error      { return nil }
func (s *boundedStream) SetReadDeadline(time.Time) error  { return nil }
func (s *boundedStream) SetWriteDeadline(time.Time) error { return nil }
