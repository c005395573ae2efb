package gossip

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// A street is a network whose connections are listed.
type colocatedNetwork struct {
	network.Network
	conns []network.Conn
}

func (s *colocatedNetwork) Conns() []network.Conn { return s.conns }

func (s *colocatedNetwork) Connectedness(p peer.ID) network.Connectedness {
	for _, c := range s.conns {
		if c.RemotePeer() == p {
			return network.Connected
		}
	}
	return network.NotConnected
}

type colocatedConn struct {
	network.Conn
	peer peer.ID
	addr ma.Multiaddr
}

func (d colocatedConn) RemotePeer() peer.ID           { return d.peer }
func (d colocatedConn) RemoteMultiaddr() ma.Multiaddr { return d.addr }
func (d colocatedConn) Stat() network.ConnStats       { return network.ConnStats{} }

// crowdOf has n peers at addresses of this form.
func colocated(n int, format string) *colocatedNetwork {
	s := &colocatedNetwork{}
	for i := range n {
		s.conns = append(s.conns, colocatedConn{peer: peer.ID(fmt.Sprint(i)), addr: ma.StringCast(fmt.Sprintf(format, i+1))})
	}
	return s
}

// SPEC G17: many peers at one address are kept out of the mesh, and neither graylisted nor
// left without gossip; one peer that has left, or has done nothing yet, is not kept.
func TestColocation(t *testing.T) {
	limits := scoreThresholds()
	for _, c := range []struct {
		n      int
		format string
		want   float64
	}{
		{5, "/ip4/5.1.0.7/tcp/%d", newPeerScore},
		{6, "/ip4/5.1.0.7/tcp/%d", -10},
		{10, "/ip4/5.1.0.7/tcp/%d", -250},
		{128, "/ip4/5.1.0.7/tcp/%d", -400},
		{100, "/ip6/2a00:5e5:0:1::%x/tcp/1", -400},
		{100, "/ip6/2a00:5e5:0:%x::1/tcp/1", newPeerScore},
		{100, "/ip4/5.1.0.%d/udp/1/quic-v1", newPeerScore},
		{100, "/ip4/127.0.0.1/tcp/%d", newPeerScore},
		{100, "/ip4/172.17.0.1/tcp/%d", newPeerScore},
	} {
		s := colocated(c.n, c.format)
		cr := &colocation{net: s, exempt: localNetworks()}
		got := cr.score("0")
		if got != c.want {
			t.Errorf("%d peers at %s cost each %v, want %v", c.n, c.format, got, c.want)
		}
		if got <= limits.GossipThreshold || got <= limits.GraylistThreshold {
			t.Errorf("%d peers at %s are not told news", c.n, c.format)
		}
		if gone := cr.score("nobody"); gone <= 0 {
			t.Errorf("a peer that has left costs %v, and is remembered", gone)
		}
	}
}

// TestColocationEnds has the peers of one address leave: who stays pays for it a second more.
func TestColocationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := colocated(50, "/ip4/5.1.0.7/tcp/%d")
		cr := &colocation{net: s}
		if got := cr.score("0"); got != colocationFloor {
			t.Errorf("50 at one address cost each %v", got)
		}
		s.conns = s.conns[:1]
		time.Sleep(colocationInterval)
		if got := cr.score("0"); got != newPeerScore {
			t.Errorf("who is alone pays %v", got)
		}
	})
}
