package api

import "fmt"

// Seed says which modules a node fetches on its own so that it can serve them.
type Seed string

const (
	SeedUsed    Seed = "used"    // none but those that were installed or published here
	SeedTrusted Seed = "trusted" // those that the trust file grants
	SeedAll     Seed = "all"     // those of every release it sees
)

// ParseSeed reads a Seed as it stands in flags and settings.
func ParseSeed(s string) (Seed, error) {
	switch seed := Seed(s); seed {
	case SeedUsed, SeedTrusted, SeedAll:
		return seed, nil
	}
	return "", fmt.Errorf("seed %q: it must be used, trusted or all", s)
}

// DHT says which distributed hash table a node asks for peers and for who has a
// module, if any.
type DHT string

const (
	DHTOff    DHT = "off"    // "" means the same
	DHTPublic DHT = "public" // Amino, IPFS's own
	DHTOwn    DHT = "own"    // that of the bootstrap nodes and whoever they know
)

// ParseDHT reads a DHT as it stands in flags and settings.
func ParseDHT(s string) (DHT, error) {
	switch d := DHT(s); d {
	case DHTOff, DHTPublic, DHTOwn:
		return d, nil
	}
	return "", fmt.Errorf("dht %q: it must be public, own or off", s)
}
