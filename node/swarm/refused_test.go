package swarm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
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

// SPEC N72: by QUIC a peer without room lets in first, and closes then.
func TestClosedAtOnce(t *testing.T) {
	for _, where := range []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"} {
		there, here := testHost(t), testHost(t)
		if err := listen(there, []ma.Multiaddr{ma.StringCast(where)}); err != nil {
			t.Fatal(err)
		}
		var came atomic.Int64
		there.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
			if came.Add(1) == 1 {
				c.CloseWithError(quicQueueFull)
			}
		}})
		info := peer.AddrInfo{ID: there.ID(), Addrs: there.Addrs()}
		var refused int
		s := &Swarm{host: here, connect: func(ctx context.Context, info peer.AddrInfo) error {
			err := connect(ctx, here, info)
			if err != nil {
				refused++
			}
			return err
		}}
		if err := s.connectInsisting(t.Context(), info); err != nil || refused == 0 {
			t.Errorf("%s: after %d refusals %v", where, refused, err)
		}
	}
}
