// Package swarm is a node's libp2p host and whom it is connected to: which connections are
// accepted, who is dialled, remembered and found, and what peers are believed to say of
// addresses (SPEC.md sections 12 and 15, docs/program.md sections 8 and 9). It knows nothing of records, blocks or keys.
package swarm
