package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/quic-go/quic-go"
)

// How a peer that refuses, or is late, is tried again (docs/program.md [N72] [N360]).
const (
	refusedFirst = 250 * time.Millisecond // until it is tried again, doubling up to ...
	refusedMost  = 2 * time.Second
)

// quicQueueFull is the code with which libp2p closes QUIC connections of which too many wait
// to be accepted.
const quicQueueFull = 1

// A RefusedError says that a peer is there and closed the connection before it said a
// word, as nodes do that have too many connections from one address.
type RefusedError struct{ Peer peer.ID }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused: %s closes connections at once, as nodes do that have too many from one address", e.Peer)
}

// refusals are the peers that refused this node when it last dialled them.
type refusals struct {
	mu    sync.Mutex
	peers map[peer.ID]struct{}
}

func (r *refusals) set(p peer.ID, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !refused {
		delete(r.peers, p)
		return
	}
	if r.peers == nil {
		r.peers = map[peer.ID]struct{}{}
	}
	r.peers[p] = struct{}{}
}

func (r *refusals) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.peers)
}

// connectInsisting dials a peer that the user named or that was met before: again and again
// while it refuses, until ctx ends, and once more when it was late.
func (s *Swarm) connectInsisting(ctx context.Context, info peer.AddrInfo) error {
	refused, late := false, false
	for pause := refusedFirst; ; pause = min(2*pause, refusedMost) {
		err := s.connect(ctx, info)
		if refused && err != nil && ctx.Err() != nil {
			return &RefusedError{info.ID}
		}
		refused = s.cfg.SwarmKey == nil && isRefusal(err)
		s.refusals.set(info.ID, refused)
		again := refused || !late && isLate(err)
		late = late || isLate(err)
		if !again {
			return err
		}
		// It would remember the failure for longer.
		if s, ok := s.host.Network().(*swarm.Swarm); ok {
			s.Backoff().Clear(info.ID)
		}
		wait := time.NewTimer(time.Duration((0.5 + rand.Float64()) * float64(pause)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			if refused {
				return &RefusedError{info.ID}
			}
			return err
		}
	}
}

// isLate reports whether a QUIC handshake had no answer in its time. A machine with much to do
// answers no sooner, and by TCP its kernel would have answered for it.
func isLate(err error) bool {
	var dialled *swarm.DialError
	if !errors.As(err, &dialled) {
		return false
	}
	return slices.ContainsFunc(dialled.DialErrors, func(e swarm.TransportError) bool {
		return errors.As(e.Cause, new(*quic.IdleTimeoutError)) || errors.As(e.Cause, new(*quic.HandshakeTimeoutError))
	})
}

// isRefusal reports whether a peer ended a connection for want of room. By TCP that is
// only to be seen from the connection's end before the first word; a node of another
// private network ends it so too.
func isRefusal(err error) bool {
	if errors.As(err, new(*RefusedError)) {
		return true
	}
	var dialled *swarm.DialError
	if !errors.As(err, &dialled) {
		return false
	}
	for _, e := range dialled.DialErrors {
		var closed *quic.ApplicationError
		var refused *quic.TransportError
		switch {
		case errors.As(e.Cause, &closed):
			code := network.ConnErrorCode(closed.ErrorCode)
			if closed.Remote && (code == network.ConnResourceLimitExceeded || code == network.ConnRateLimited || code == quicQueueFull) {
				return true
			}
		case errors.As(e.Cause, &refused):
			if refused.Remote && refused.ErrorCode == quic.ConnectionRefused {
				return true
			}
		case strings.Contains(e.Cause.Error(), "negotiate security protocol"):
			if errors.Is(e.Cause, io.EOF) || errors.Is(e.Cause, syscall.ECONNRESET) || errors.Is(e.Cause, syscall.EPIPE) {
				return true
			}
		}
	}
	return false
}
