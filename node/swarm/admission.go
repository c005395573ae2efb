package swarm

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Connections from one address (docs/program.md [N71]): a hundred people in an office, or jobs
// of a CI, come from one, and one who would keep all others out has few.
const (
	maxPerAddress = 128 // of IPv4, or a /56 of IPv6
	maxPerSite    = 192 // a /48 of IPv6
	reserved      = 64  // of maxInbound, for addresses with few
	fewPerAddress = 8   // ... which is fewer than this
	fewPerSite    = 32

	connRate, connBurst = 10, 256 // new connections of an address, per second and at once
	siteRate, siteBurst = 20, 512
)

// share is how many connections the addresses of a prefix may have.
type share struct{ bits, most, few int }

var (
	sharesOf4 = []share{{32, maxPerAddress, fewPerAddress}}
	sharesOf6 = []share{{56, maxPerAddress, fewPerAddress}, {48, maxPerSite, fewPerSite}}
)

var errTooMany = errors.New("too many connections from this address")

// admission decides which connections of other machines are accepted. It is the host's
// resource manager, which bounds what all of them together use.
type admission struct {
	network.ResourceManager

	mu      sync.Mutex
	inbound int
	from    map[netip.Prefix]int
}

func newAdmission(r network.ResourceManager) *admission {
	return &admission{ResourceManager: r, from: map[netip.Prefix]int{}}
}

// OpenConnection implements network.ResourceManager.
func (a *admission) OpenConnection(dir network.Direction, usefd bool, endpoint ma.Multiaddr) (network.ConnManagementScope, error) {
	if dir != network.DirInbound {
		return a.ResourceManager.OpenConnection(dir, usefd, endpoint)
	}
	shares := sharesFor(endpoint)
	if !a.enter(shares) {
		return nil, errTooMany
	}
	scope, err := a.ResourceManager.OpenConnection(dir, usefd, endpoint)
	if err != nil {
		a.leave(shares)
		return nil, err
	}
	return &admitted{scope, sync.OnceFunc(func() { a.leave(shares) })}, nil
}

// sharesFor returns what a connection takes part of; nothing on loopback.
func sharesFor(endpoint ma.Multiaddr) map[netip.Prefix]share {
	ip, err := manet.ToIP(endpoint)
	if err != nil || ip.IsLoopback() {
		return nil
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return nil
	}
	addr = addr.Unmap()
	all := sharesOf6
	if addr.Is4() {
		all = sharesOf4
	}
	out := map[netip.Prefix]share{}
	for _, s := range all {
		if p, err := addr.Prefix(s.bits); err == nil {
			out[p] = s
		}
	}
	return out
}

func (a *admission) enter(shares map[netip.Prefix]share) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, s := range shares {
		most := s.most
		if a.inbound >= maxInbound-reserved {
			most = s.few
		}
		if a.from[p] >= most {
			return false
		}
	}
	a.inbound++
	for p := range shares {
		a.from[p]++
	}
	return true
}

func (a *admission) leave(shares map[netip.Prefix]share) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inbound--
	for p := range shares {
		if a.from[p]--; a.from[p] == 0 {
			delete(a.from, p)
		}
	}
}

// admitted gives back what a connection took.
type admitted struct {
	network.ConnManagementScope
	leave func()
}

// Done implements network.ConnManagementScope.
func (s *admitted) Done() {
	s.ConnManagementScope.Done()
	s.leave()
}

// newRates bounds how fast connections of an address are made, in either direction.
func newRates() *rate.Limiter {
	loopback := []rate.PrefixLimit{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}
	perAddress, perSite := rate.Limit{RPS: connRate, Burst: connBurst}, rate.Limit{RPS: siteRate, Burst: siteBurst}
	return &rate.Limiter{
		NetworkPrefixLimits: loopback, // without a limit
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddress}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: perAddress}, {PrefixLength: 48, Limit: perSite}},
			GracePeriod:      time.Minute,
		},
	}
}

// unlimitedSubnets leaves how many connections an address has to admission.
func unlimitedSubnets() rcmgr.Option {
	return rcmgr.WithLimitPerSubnet(
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxConns}},
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: maxConns}})
}
