// Package node puts es together: the home directory with its keys, trust file,
// index and blocks, the libp2p host with gossip and bitswap, and the local API
// through which commands use a node that is running already.
//
// It implements SPEC.md sections 12 and 15 and docs/program.md sections 8 to 12. It
// decides nothing about formats, signatures or trust; it asks the packages that do.
package node
