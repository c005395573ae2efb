package swarm

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// opened is how many of n connections from addresses of this form are accepted, and how
// to close these.
func opened(t *testing.T, r network.ResourceManager, n int, format string, args func(int) []any) (in int, closeAll func()) {
	t.Helper()
	var scopes []network.ConnManagementScope
	for i := range n {
		if s, err := r.OpenConnection(network.DirInbound, true, ma.StringCast(fmt.Sprintf(format, args(i)...))); err == nil {
			scopes = append(scopes, s)
		}
	}
	return len(scopes), func() {
		for _, s := range scopes {
			s.Done()
			s.Done() // as hosts do
		}
	}
}

func ports(i int) []any   { return []any{1000 + i} }
func subnets(i int) []any { return []any{i} }
func halves(i int) []any  { return []any{i%2<<8 + i/2} } // of two /56

// SPEC N71: one address holds an office, and neither one address nor one site takes
// all places.
func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		name, format string
		args         func(int) []any
		want         int
	}{
		{"an address", "/ip4/5.1.0.7/tcp/%d", ports, 128},
		{"an address by QUIC", "/ip4/5.1.0.7/udp/%d/quic-v1", ports, 128},
		{"a private address", "/ip4/172.17.0.1/tcp/%d", ports, 128},
		{"a /64", "/ip6/2a00:5e5:0:1::%x/tcp/4011", subnets, 128},
		{"a /48", "/ip6/2a00:5e5:0:%x::1/tcp/4011", halves, 192},
		{"loopback", "/ip4/127.0.0.1/tcp/%d", ports, 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := newResources()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			in, closeAll := opened(t, r, 300, c.format, c.args)
			if in != c.want {
				t.Errorf("%d connections are accepted, want %d", in, c.want)
			}
			// Whatever one site does, there is room for others, and theirs is given back.
			if c.name != "loopback" {
				few, _ := opened(t, r, 20, "/ip4/5.2.0.7/tcp/%d", ports)
				if few < 8 {
					t.Errorf("%d of another address are accepted beside %d", few, in)
				}
			}
			closeAll()
			if again, _ := opened(t, r, 20, c.format, c.args); again != 20 {
				t.Errorf("%d of 20 are accepted when all are gone", again)
			}
		})
	}
}

// SPEC N71: the last places are for addresses with few connections.
func TestThreat33FewAddressesTakeAll(t *testing.T) {
	r, err := newResources()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	total := 0
	for host := range 3 {
		in, _ := opened(t, r, 200, fmt.Sprintf("/ip4/5.1.0.%d/tcp/%%d", host), ports)
		total += in
	}
	if want := 192 + 8; total != want {
		t.Errorf("three addresses have %d connections, want %d", total, want)
	}
	for host := range 7 {
		if in, _ := opened(t, r, 20, fmt.Sprintf("/ip4/5.2.0.%d/tcp/%%d", host), ports); in != 8 {
			t.Errorf("honest address %d has %d connections, want 8", host, in)
		}
	}
}

// SPEC N71: a fleet whose jobs come and go is accepted for as long as it likes; connecting
// faster than ten times a second is not.
func TestConnectionRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newRates()
		at := func(n int, pause time.Duration) (in int) {
			for range n {
				if limiter.Allow(netip.MustParseAddr("5.1.0.7")) {
					in++
				}
				time.Sleep(pause)
			}
			return in
		}
		if in := at(2000, 110*time.Millisecond); in != 2000 {
			t.Errorf("of a fleet's 2,000 connections at 9 a second %d are accepted", in)
		}
		time.Sleep(time.Minute)
		if in := at(1000, 0); in != 256 {
			t.Errorf("%d are accepted at once, want 256", in)
		}
		site := 0
		for i := range 1000 {
			if limiter.Allow(netip.MustParseAddr(fmt.Sprintf("2a00:5e5:0:%x::1", i%250<<8))) {
				site++
			}
		}
		if site != 512 {
			t.Errorf("%d of a /48 are accepted at once, want 512", site)
		}
	})
}
