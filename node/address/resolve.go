package address

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Bounds of resolving a name that the user gave.
const (
	maxResolved = 16
	maxRedirect = 4 // dnsaddr that leads to dnsaddr
)

// Resolve replaces names by the addresses they lead to. Only the user's are given to
// it, and those that are built in.
func Resolve(ctx context.Context, names network.MultiaddrDNSResolver, info peer.AddrInfo) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	var failed error
	for _, a := range info.Addrs {
		if _, ok := PlainIP(a); ok {
			out = append(out, a)
			continue
		}
		found, err := resolveOne(ctx, names, info.ID, a)
		if err != nil {
			failed = err
		}
		out = append(out, found...)
	}
	out = ma.Unique(Plain(out))
	out = out[:min(len(out), maxResolved)]
	if len(out) == 0 && failed != nil {
		return nil, failed
	}
	return out, nil
}

func resolveOne(ctx context.Context, names network.MultiaddrDNSResolver, id peer.ID, a ma.Multiaddr) ([]ma.Multiaddr, error) {
	found := []ma.Multiaddr{a}
	var err error
	if a[0].Protocol().Code == ma.P_DNSADDR {
		if found, err = names.ResolveDNSAddr(ctx, id, a, maxRedirect, maxResolved); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", a, err)
		}
	}
	var out []ma.Multiaddr
	for _, f := range found {
		if bare, last := ma.SplitLast(f); last != nil && last.Protocol().Code == ma.P_P2P {
			f = bare
		}
		if len(f) == 0 {
			continue
		}
		switch f[0].Protocol().Code {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			ips, err := names.ResolveDNSComponent(ctx, f, maxResolved)
			if err != nil {
				return nil, fmt.Errorf("resolve %s: %w", f, err)
			}
			out = append(out, ips...)
		default:
			out = append(out, f)
		}
	}
	if len(Plain(out)) == 0 {
		return nil, fmt.Errorf("%s leads to no TCP or QUIC address", a)
	}
	return out, nil
}
