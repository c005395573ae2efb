// Package swarm is a node's libp2p host and whom it is connected to: which connections are
// accepted, who is dialled, remembered and found, and what peers are believed to say of
// addresses (SPEC.md section 13, [N20] to [N24], [N70] to [N72], [N80], [D80] to [D82]). It
// knows nothing of records, blocks or keys.
package swarm
