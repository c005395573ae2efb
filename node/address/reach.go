package address

import (
	"net"
	"net/netip"
)

// Reach is where an address leads (SPEC.md [D81]).
type Reach int

const (
	Public Reach = iota
	LAN          // a private network, or one that this machine is in
	Self         // this machine, or no machine at all
)

// special are the networks without global reach (the IANA registries of special
// addresses) that netip has no method for. Those that hold an IPv4 address in them
// could be used to write any other.
var special = prefixes(map[string]Reach{
	"0.0.0.0/8": Self, "100.64.0.0/10": LAN, "192.0.0.0/24": LAN, "198.18.0.0/15": LAN, "240.0.0.0/4": Self,
	"::/96": Self, "64:ff9b::/96": LAN, "64:ff9b:1::/48": LAN, "100::/64": Self, "2001::/32": LAN, "2002::/16": LAN,
	"fec0::/10": LAN,
})

type specialNet struct {
	netip.Prefix
	reach Reach
}

func prefixes(all map[string]Reach) (out []specialNet) {
	for s, r := range all {
		out = append(out, specialNet{netip.MustParsePrefix(s), r})
	}
	return out
}

// ReachOf says where ip leads from a machine that is in nets.
func ReachOf(ip net.IP, nets Networks) Reach {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return Self
	}
	a = a.Unmap()
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return Self
	}
	for _, s := range special {
		if s.Contains(a) {
			return s.reach
		}
	}
	if a.IsPrivate() || a.IsLinkLocalUnicast() || nets.Contains(ip) {
		return LAN
	}
	return Public
}
