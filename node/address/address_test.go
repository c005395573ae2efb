package address

import (
	"net"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// SPEC D80, D81. Where addresses lead, whatever they are written as.
func TestReachOf(t *testing.T) {
	nets := netsOf(t, "203.0.113.5/28", "2a00:5e5:1::2/64")
	for a, want := range map[string]Reach{
		"/ip4/8.8.8.8/tcp/1": Public, "/ip6/2a00:5e5:2::1/udp/1/quic-v1": Public, "/ip4/203.0.113.77/tcp/1": Public,
		"/ip4/203.0.113.1/tcp/1": LAN, "/ip6/2a00:5e5:1::9/tcp/1": LAN, // neighbours at public addresses
		"/ip4/10.1.2.3/tcp/1": LAN, "/ip4/172.31.0.1/tcp/1": LAN, "/ip4/192.168.1.1/tcp/80": LAN, "/ip4/100.64.0.1/tcp/1": LAN,
		"/ip4/169.254.169.254/tcp/80": LAN, "/ip6/fe80::1/tcp/1": LAN, "/ip6/fc00::1/tcp/1": LAN, "/ip6/fec0::1/tcp/1": LAN,
		"/ip4/127.0.0.1/tcp/1": Self, "/ip4/127.9.9.9/tcp/1": Self, "/ip6/::1/tcp/1": Self, "/ip4/0.0.0.0/tcp/1": Self, "/ip6/::/tcp/1": Self,
		"/ip4/224.0.0.1/udp/1/quic-v1": Self, "/ip4/255.255.255.255/tcp/1": Self,
		"/ip6/::ffff:127.0.0.1/tcp/1": Self, "/ip6/::ffff:10.0.0.1/tcp/1": LAN, "/ip6/::127.0.0.1/tcp/1": Self, // IPv4 written as IPv6
		"/ip6/64:ff9b::7f00:1/tcp/1": LAN, "/ip6/2002:7f00:1::/tcp/1": LAN, "/ip6/2001:0:7f00:1::/tcp/1": LAN,
		"/ip4/10.1.2.3/tcp/1/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit": LAN,
	} {
		ip, ok := PlainIP(ma.StringCast(a))
		if !ok || ReachOf(ip, nets) != want {
			t.Errorf("%s leads to %v (%v), want %v", a, ReachOf(ip, nets), ok, want)
		}
	}
	for _, a := range []string{
		"/dns4/localhost/tcp/1", "/dns6/localhost/tcp/1", "/dns/localhost/tcp/1", "/dnsaddr/localhost", "/dns4/a.example/tcp/443/wss", "/dns4/a.example/tcp/443/tls/ws",
		"/ip4/8.8.8.8/tcp/1/ws", "/ip4/8.8.8.8/tcp/443/tls/sni/a.example/ws", "/ip4/8.8.8.8/tcp/1/http", "/unix/tmp/socket", "/tcp/1",
		"/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit",
		"/ip4/8.8.8.8/tcp/1/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit/ip4/127.0.0.1/tcp/1",
		"/ip4/8.8.8.8/tcp/1/dns4/localhost/tcp/1",
	} {
		if _, ok := PlainIP(ma.StringCast(a)); ok {
			t.Errorf("%s is believed", a)
		}
	}
}

// SPEC N70
func TestAnnouncedAddresses(t *testing.T) {
	for s, want := range map[string]bool{
		"/ip4/5.1.0.9/tcp/4011":         true,
		"/ip6/2a00::9/udp/4011/quic-v1": true,
		"/ip4/10.0.0.1/tcp/4011":        true, // of a VPN
		"":                              false,
		"/ip4/5.1.0.9":                  false,
		"/ip4/5.1.0.9/udp/4011":         false,
		"/ip4/5.1.0.9/tcp/0":            false,
		"/ip4/0.0.0.0/tcp/4011":         false,
		"/ip6/::/udp/4011/quic-v1":      false,
		"/ip4/127.0.0.1/tcp/4011":       false,
		"/ip4/224.0.0.1/tcp/4011":       false,
		"/dns4/es.example.org/tcp/4011": false, // nobody dials names that a peer says of itself
		"/ip4/5.1.0.9/tcp/4011/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf":          false,
		"/ip4/5.1.0.9/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf/p2p-circuit": false,
	} {
		if _, err := ParseAnnounce(s); (err == nil) != want {
			t.Errorf("announce %q: %v, want it taken: %v", s, err, want)
		}
	}
	if _, err := ParseListen("/ip4/5.1.0.9/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf/p2p-circuit"); err == nil {
		t.Error("a node listens on a relay")
	}
}

func netsOf(t *testing.T, all ...string) (n Networks) {
	t.Helper()
	for _, s := range all {
		ip, ipnet, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		n.Nets = append(n.Nets, &net.IPNet{IP: ip, Mask: ipnet.Mask})
	}
	return n
}
