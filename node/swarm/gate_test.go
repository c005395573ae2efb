package swarm

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
)

// SPEC N22
func TestGate(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate()
	g.now = func() time.Time { return now }
	if !g.InterceptPeerDial("a") || !g.InterceptSecured(0, "a", nil) {
		t.Error("a stranger is kept out")
	}
	g.ban("a", time.Minute)
	if g.InterceptPeerDial("a") || g.InterceptSecured(0, "a", nil) || !g.InterceptPeerDial("b") {
		t.Error("a banned peer is accepted")
	}
	now = now.Add(time.Minute)
	if !g.InterceptPeerDial("a") {
		t.Error("banned for ever")
	}
	for i := range 2 * maxBanned {
		g.ban(peer.ID(fmt.Sprint(i)), time.Duration(i+1)*time.Second)
	}
	if len(g.banned) != maxBanned || g.InterceptPeerDial(peer.ID(fmt.Sprint(2*maxBanned-1))) {
		t.Errorf("%d banned", len(g.banned))
	}
	for addr, want := range map[string]bool{
		"/ip4/10.0.0.1/tcp/1": true, "/ip4/127.0.0.1/tcp/1": true, "/ip6/::1/tcp/1": true, "/dns4/example.org/tcp/1": false,
		"/ip4/0.0.0.0/tcp/1": false, "/ip6/::/udp/1/quic-v1": false, "/ip4/224.0.0.1/tcp/1": false, "/ip6/ff02::1/tcp/1": false, "/ip4/255.255.255.255/tcp/1": false,
	} {
		if got := g.InterceptAddrDial("b", ma.StringCast(addr)); got != want {
			t.Errorf("%s is dialled: %v", addr, got)
		}
	}
}

// SPEC N24. Which connections a machine leaves behind when it moves.
func TestIsStale(t *testing.T) {
	nets := func(all ...string) (n address.Networks) {
		for _, s := range all {
			ip, ipnet, err := net.ParseCIDR(s)
			if err != nil {
				t.Fatal(err)
			}
			n.Nets = append(n.Nets, &net.IPNet{IP: ip, Mask: ipnet.Mask})
		}
		return n
	}
	was, is := nets("10.71.0.4/24", "192.0.2.7/24"), nets("10.72.0.4/24", "192.0.2.7/24")
	for _, c := range []struct {
		local, remote string
		want          bool
	}{
		{"/ip4/10.71.0.4/tcp/1", "/ip4/10.71.0.1/tcp/4011", true},
		{"/ip4/10.71.0.4/tcp/1", "/ip4/198.51.100.1/tcp/4011", true},                // through a router that is gone
		{"/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/10.71.0.1/udp/4011/quic-v1", true},     // QUIC does not say from where
		{"/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/198.51.100.1/udp/4011/quic-v1", false}, // and may go on
		{"/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.9/tcp/4011", false},
		{"/ip4/192.0.2.7/tcp/1", "/ip4/198.51.100.1/tcp/4011", false},
		{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/4011", false},
	} {
		if got := isStale(ma.StringCast(c.local), ma.StringCast(c.remote), was, is); got != c.want {
			t.Errorf("%s to %s is left behind: %v", c.local, c.remote, got)
		}
	}
}

// oldConn is a connection that was opened at some time.
type oldConn struct {
	network.Conn
	at time.Time
}

func (c oldConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.at}}
}

// SPEC N24. Of several connections of one peer the old ones are dead.
func TestOutdated(t *testing.T) {
	now := time.Unix(1e9, 0)
	both := []network.Conn{oldConn{at: now}, oldConn{at: now.Add(time.Second)}}
	if old := outdated(both); len(old) != 0 {
		t.Errorf("of two at the same time %v are outdated", old)
	}
	again := []network.Conn{oldConn{at: now}, oldConn{at: now.Add(time.Minute)}, oldConn{at: now.Add(time.Second)}}
	if old := outdated(again); len(old) != 2 || !old[0].Stat().Opened.Equal(now) || !old[1].Stat().Opened.Equal(now.Add(time.Second)) {
		t.Errorf("%v are outdated", old)
	}
	if old := outdated(nil); len(old) != 0 {
		t.Errorf("of none %v", old)
	}
}
