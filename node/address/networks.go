package address

import (
	"net"
	"slices"
	"strings"
	"time"
)

// PollInterval is how often nodes look whether the machine has moved to other networks.
const PollInterval = 2 * time.Second

// Networks are where the machine is.
type Networks struct {
	Interfaces []net.Interface // that multicast works on
	V4, V6     bool            // whether it has addresses of the family
	Nets       []*net.IPNet
}

// LocalNetworks looks at the machine's interfaces.
func LocalNetworks() Networks {
	var n Networks
	all, err := net.Interfaces()
	if err != nil {
		return n
	}
	for _, i := range all {
		if i.Flags&(net.FlagUp|net.FlagMulticast) != net.FlagUp|net.FlagMulticast || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil || len(addrs) == 0 {
			continue
		}
		n.Interfaces = append(n.Interfaces, i)
		for _, a := range addrs {
			if ipnet, ok := a.(*net.IPNet); ok {
				n.Nets = append(n.Nets, ipnet)
				n.V4 = n.V4 || ipnet.IP.To4() != nil
				n.V6 = n.V6 || ipnet.IP.To4() == nil
			}
		}
	}
	return n
}

func (n Networks) String() string {
	var b strings.Builder
	for _, x := range n.Nets {
		b.WriteString(x.String() + " ")
	}
	return b.String()
}

// Near reports whether ip can belong to a machine on the same LAN. Loopback cannot:
// an announcement must not make this node talk to the machine's own services.
func (n Networks) Near(ip net.IP) bool {
	if ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() {
		return false
	}
	return (ip.To4() != nil || !ip.IsLinkLocalUnicast()) && n.Contains(ip)
}

// Contains reports whether ip is in a network of the machine.
func (n Networks) Contains(ip net.IP) bool {
	return slices.ContainsFunc(n.Nets, func(x *net.IPNet) bool { return x.Contains(ip) })
}

// Has reports whether ip is the machine's own.
func (n Networks) Has(ip net.IP) bool {
	return slices.ContainsFunc(n.Nets, func(x *net.IPNet) bool { return x.IP.Equal(ip) })
}
