package swarm

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/api"
)

func testHost(t *testing.T) host.Host {
	t.Helper()
	key, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHost(hostConfig{key: key, version: "test", gate: newGate()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func listensOn(h host.Host, what string) bool {
	return slices.ContainsFunc(h.Network().ListenAddresses(), func(a ma.Multiaddr) bool { return strings.HasSuffix(a.String(), what) })
}

// SPEC N20
func TestBusyPort(t *testing.T) {
	// A port that is free for both, as far as one can know.
	udp, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	busy := ma.StringCast("/ip4/0.0.0.0/udp/" + strconv.Itoa(port) + "/quic-v1")
	if err := listen(testHost(t), []ma.Multiaddr{busy}); err == nil || !strings.Contains(err.Error(), busy.String()) {
		t.Errorf("listen on a busy port: %v", err)
	}
	h := testHost(t)
	if err := listenDefault(h, port, false); err != nil {
		t.Fatal(err)
	}
	udp.Close()
	if listensOn(h, busy.String()) || !listensOn(h, "/ip4/0.0.0.0/tcp/"+strconv.Itoa(port)) || !listensOn(h, "/quic-v1") {
		t.Errorf("with the UDP port taken it listens on %v", h.Network().ListenAddresses())
	}

	// libp2p would share a TCP port with the host that has it.
	second := testHost(t)
	if err := listen(second, []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/" + strconv.Itoa(port))}); err == nil {
		t.Error("two nodes share a port")
	}
	if err := listenDefault(second, port, false); err != nil {
		t.Fatal(err)
	}
	if listensOn(second, "/ip4/0.0.0.0/tcp/"+strconv.Itoa(port)) || !listensOn(second, "/quic-v1") {
		t.Errorf("the second node listens on %v", second.Network().ListenAddresses())
	}
}

// SPEC N21
func TestHostLimits(t *testing.T) {
	h := testHost(t)
	m, ok := h.ConnManager().(*connmgr.BasicConnMgr)
	if !ok {
		t.Fatalf("the connection manager is %T", h.ConnManager())
	}
	if i := m.GetInfo(); i.LowWater != 128 || i.HighWater != 192 {
		t.Errorf("connections between %d and %d", i.LowWater, i.HighWater)
	}
	// From everywhere together 256, so that new ones get in before old ones are closed.
	all := 0
	for i := range 2 * maxInbound {
		scope, err := h.Network().ResourceManager().OpenConnection(1, true, ma.StringCast(fmt.Sprintf("/ip4/198.51.%d.%d/tcp/1", i/250, i%250)))
		if err != nil {
			continue
		}
		defer scope.Done()
		if scope.SetPeer(peer.ID(fmt.Sprint("peer ", i))) == nil {
			all++
		}
	}
	if all != 256 {
		t.Errorf("%d connections are accepted, want 256", all)
	}
	// Of one peer 64 streams.
	streams := 0
	for range 2 * maxPerPeer {
		scope, err := h.Network().ResourceManager().OpenStream("one", 1)
		if err == nil {
			defer scope.Done()
			streams++
		}
	}
	if streams != maxPerPeer {
		t.Errorf("%d streams are accepted, want %d", streams, maxPerPeer)
	}
}

// SPEC N20. Who asks the router for a port.
func TestWhoWantsToBeReached(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want bool
	}{
		{Config{DHT: api.DHTPublic}, true},
		{Config{DHT: api.DHTOwn}, true},
		{Config{DHT: api.DHTOwn, Listen: []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/4011")}}, true},
		{Config{DHT: api.DHTOff}, false},
		{Config{DHT: api.DHTPublic, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}}, false},
		{Config{DHT: api.DHTPublic, Ephemeral: true}, false},
	} {
		if got := (&Swarm{cfg: c.cfg}).hostConfig().relays != nil; got != c.want {
			t.Errorf("%+v wants to be reached: %v", c.cfg, got)
		}
	}
}

// SPEC N360: a dial may take as long to a private address as to any other.
func TestDialTimeout(t *testing.T) {
	network := reflect.ValueOf(testHost(t).Network()).Elem()
	for _, limit := range []string{"dialTimeout", "dialTimeoutLocal"} {
		if got := time.Duration(network.FieldByName(limit).Int()); got != DialTimeout {
			t.Errorf("libp2p's %s is %v, want %v", limit, got, DialTimeout)
		}
	}
}
