package node

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
)

func TestAudience(t *testing.T) {
	const peer = "/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
	for _, c := range []struct {
		want  address.Audience
		addrs string
	}{
		{address.AudienceNobody, ""},
		{address.AudienceNobody, "/ip4/5.1.0.9/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf/p2p-circuit"},
		{address.AudienceMachine, "/ip4/127.0.0.1/tcp/4011 /ip6/::1/tcp/4011"},
		{address.AudienceLAN, "/ip4/127.0.0.1/tcp/4011 /ip4/10.1.2.3/tcp/4011"},
		{address.AudienceAll, "/ip4/127.0.0.1/tcp/4011 /ip4/5.1.0.9/udp/4011/quic-v1 /ip4/10.1.2.3/tcp/4011"},
	} {
		var s api.Status
		for _, a := range strings.Fields(c.addrs) {
			s.Addrs = append(s.Addrs, a+peer)
		}
		if got := s.Audience(); got != c.want {
			t.Errorf("%q can be dialled by %v, want %v", c.addrs, got, c.want)
		}
	}
}

// TestAddressesInOrder holds that what is announced and what most can dial is told first.
func TestAddressesInOrder(t *testing.T) {
	n := startNode(t, testHome(t), Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", loopback}, Announce: []string{"/ip4/10.9.8.7/tcp/4011", "/ip4/5.1.0.9/tcp/4011"}})
	s, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var starts []string
	for _, a := range s.Addrs {
		whole, err := ma.NewMultiaddr(a)
		if err != nil {
			t.Fatal(err)
		}
		ip, err := whole.ValueForProtocol(ma.P_IP4)
		if err != nil {
			t.Fatal(err)
		}
		if address.Port(whole) == "0" || address.Port(whole) == "" {
			t.Errorf("%s cannot be dialled", a)
		}
		starts = append(starts, ip)
	}
	if want := []string{"5.1.0.9", "10.9.8.7", "127.0.0.1", "127.0.0.1"}; !slices.Equal(starts, want) {
		t.Errorf("addresses %q, want those of %q", s.Addrs, want)
	}
	if !strings.Contains(s.Addrs[2], "/tcp/") || len(s.Listen) != 2 {
		t.Errorf("addresses %q, listening on %q", s.Addrs, s.Listen)
	}
}

// TestTakenPort has another program on the port: one that was asked for is an error.
func TestTakenPort(t *testing.T) {
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := "/ip4/127.0.0.1/tcp/" + strconv.Itoa(other.Addr().(*net.TCPAddr).Port)
	n, err := New(t.Context(), testHome(t), Config{Listen: []string{taken}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen on "+taken) {
		t.Errorf("a taken port: %v", err)
	}
}
