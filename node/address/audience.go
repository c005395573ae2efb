package address

import (
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// An Audience is who can dial an address, as far as the address says.
type Audience int

// Audiences, each larger than the one before.
const (
	AudienceNobody Audience = iota
	AudienceMachine
	AudienceLAN
	AudienceAll
)

func AudienceOf(a ma.Multiaddr) Audience {
	switch {
	case manet.IsIPLoopback(a):
		return AudienceMachine
	case manet.IsPublicAddr(a):
		return AudienceAll
	}
	return AudienceLAN
}

func TransportRank(a ma.Multiaddr) int {
	if IsCircuit(a) {
		return 2
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
		return 1
	}
	return 0
}
