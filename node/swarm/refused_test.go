package swarm

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// SPEC N360: who does not answer by QUIC in time is dialled once more, and no more often.
func TestLateByQUIC(t *testing.T) {
	h := testHost(t)
	failure := func(causes ...error) error {
		e := &swarm.DialError{Peer: "p"}
		for _, c := range causes {
			e.DialErrors = append(e.DialErrors, swarm.TransportError{Address: ma.StringCast("/ip4/192.0.2.7/udp/4011/quic-v1"), Cause: c})
		}
		return e
	}
	silent, slow, no := failure(&quic.IdleTimeoutError{}), failure(&quic.HandshakeTimeoutError{}), failure(errors.New("connection refused"))
	busy := failure(&quic.TransportError{Remote: true, ErrorCode: quic.ConnectionRefused})
	for _, c := range []struct {
		name    string
		answers []error // of one dial after the other
		want    error
	}{
		{"late", []error{silent, nil}, nil},
		{"a handshake that does not end", []error{slow, nil}, nil},
		{"late by QUIC, nobody by TCP", []error{failure(errors.New("connection refused"), &quic.IdleTimeoutError{}), nil}, nil},
		{"nobody there", []error{silent, slow}, slow},
		{"nobody there by TCP", []error{no}, no},
		{"late, then refused, then let in", []error{silent, busy, busy, nil}, nil},
		{"refused, then late twice", []error{busy, silent, silent}, silent},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dials := 0
				s := &Swarm{host: h, connect: func(context.Context, peer.AddrInfo) error {
					dials++
					if dials > len(c.answers) {
						return errors.New("dialled too often")
					}
					return c.answers[dials-1]
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := s.connectInsisting(ctx, peer.AddrInfo{ID: "p"}); err != c.want || dials != len(c.answers) {
					t.Errorf("%d dials of %d: %v, want %v", dials, len(c.answers), err, c.want)
				}
			})
		})
	}
}
