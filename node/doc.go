// Package node puts es together: the home directory with its keys, trust file,
// index and blocks, the libp2p host with gossip and bitswap, and the local API
// through which commands use a node that is running already.
//
// It implements SPEC.md section 12. It decides nothing
// about formats, signatures or trust; it asks the packages that do.
package node
