// Package dht is this node's part of a Kademlia DHT (SPEC.md section 15,
// docs/program.md section 9): that of IPFS, or a network's own. It finds who has a module and who else takes part, and tells
// which modules are here. Whom it finds others dial.
package dht
