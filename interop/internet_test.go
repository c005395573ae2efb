package interop

import (
	"fmt"
	"os"
	"testing"
)

// An internet is a router between hosts whose addresses are public ones: what
// libraries and es exempt private addresses and loopback from holds here. No route
// leads out of it, and multicast stays at home. It needs root, and leaves nothing
// behind.
type internet struct {
	t      testing.TB
	name   string
	places int
}

func newInternet(t testing.TB) *internet {
	t.Helper()
	n := &internet{t: t, name: fmt.Sprintf("es%d-net", os.Getpid())}
	namespace(t, n.name)
	for _, way := range []string{"net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"} {
		must(t, "/", nil, "ip", "netns", "exec", n.name, "sysctl", "-q", "-w", way)
	}
	return n
}

// A place is a host of an internet: its namespace, and its two addresses.
type place struct {
	netns    string
	ip4, ip6 string
}

func (n *internet) host(name string) place {
	n.t.Helper()
	n.places++
	k := n.places
	p := place{n.name + "-" + name, fmt.Sprintf("5.1.%d.2", k), fmt.Sprintf("2a00:5e5:%x::2", k)}
	namespace(n.t, p.netns)
	port := fmt.Sprintf("port%d", k)
	ip(n.t, "link", "add", "eth0", "netns", p.netns, "type", "veth", "peer", "name", port, "netns", n.name)
	ip(n.t, "-n", n.name, "addr", "add", fmt.Sprintf("5.1.%d.1/24", k), "dev", port)
	ip(n.t, "-n", n.name, "addr", "add", fmt.Sprintf("2a00:5e5:%x::1/64", k), "dev", port, "nodad")
	ip(n.t, "-n", n.name, "link", "set", port, "up")
	ip(n.t, "-n", p.netns, "addr", "add", p.ip4+"/24", "dev", "eth0")
	ip(n.t, "-n", p.netns, "addr", "add", p.ip6+"/64", "dev", "eth0", "nodad")
	ip(n.t, "-n", p.netns, "link", "set", "eth0", "up")
	ip(n.t, "-n", p.netns, "route", "add", "default", "via", fmt.Sprintf("5.1.%d.1", k))
	ip(n.t, "-n", p.netns, "-6", "route", "add", "default", "via", fmt.Sprintf("2a00:5e5:%x::1", k))
	return p
}

// at puts a user at a place, with the defaults of es: the public DHT, which does not
// answer, and multicast.
func (u *user) at(p place) *user {
	u.netns, u.usual = p.netns, true
	return u
}
