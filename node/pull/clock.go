package pull

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// clockProtocol tells a peer what time it is here (SPEC.md [N45]). No decision
// is made by it: it is there so that a user can be told that a clock is wrong.
const (
	clockProtocol = "/es/clock/1"
	clockTimeout  = 10 * time.Second
)

// serveClock answers with the time in Unix milliseconds, 8 bytes big-endian.
func serveClock(s network.Stream) {
	defer s.Close()
	if s.SetDeadline(time.Now().Add(clockTimeout)) != nil {
		s.Reset()
		return
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli()))
	if _, err := s.Write(b[:]); err != nil {
		s.Reset()
	}
}

// clockOffset returns how far a peer's clock is ahead of this one, to about half
// of the time that the question takes.
func (p *Puller) clockOffset(ctx context.Context, who peer.ID) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	start := time.Now()
	s, err := p.cfg.Swarm.Host().NewStream(network.WithNoDial(ctx, "clock"), who, clockProtocol)
	if err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", who, err)
	}
	defer s.Reset()
	if err := s.SetDeadline(start.Add(clockTimeout)); err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", who, err)
	}
	var b [8]byte
	if _, err := io.ReadFull(s, b[:]); err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", who, err)
	}
	middle := start.Add(time.Since(start) / 2)
	ms := int64(binary.BigEndian.Uint64(b[:]))
	if ms < 0 || ms > 253402300799999 {
		return 0, fmt.Errorf("ask %s for the time: its answer, %d ms, is not a time", who, ms)
	}
	return time.UnixMilli(ms).Sub(middle), nil
}
