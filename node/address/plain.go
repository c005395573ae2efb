package address

import (
	"net"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
)

// PlainIP returns the IP of a multiaddr in which nothing has to be resolved: an IP
// and TCP or QUIC v1, perhaps of a relay (SPEC.md [D80]).
func PlainIP(a ma.Multiaddr) (ip net.IP, ok bool) {
	if len(a) == 0 {
		return nil, false
	}
	for i, c := range a {
		switch c.Protocol().Code {
		case ma.P_IP4, ma.P_IP6:
			if i > 0 && a[i-1].Protocol().Code != ma.P_IP6ZONE || ip != nil {
				return nil, false
			}
			ip = net.IP(c.RawValue())
		case ma.P_IP6ZONE:
			if i > 0 {
				return nil, false
			}
		case ma.P_TCP, ma.P_UDP, ma.P_QUIC_V1, ma.P_P2P, ma.P_CIRCUIT:
			if ip == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return ip, ip != nil
}

// Plain are those of addrs in which nothing has to be resolved.
func Plain(addrs []ma.Multiaddr) []ma.Multiaddr {
	return Within(addrs, Self, Networks{})
}

// Within are those of addrs in which nothing has to be resolved and which lead no
// nearer than to r.
func Within(addrs []ma.Multiaddr, r Reach, nets Networks) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		ip, ok := PlainIP(a)
		return !ok || r < Self && ReachOf(ip, nets) > r
	})
}
