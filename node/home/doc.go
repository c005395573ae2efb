// Package home is one user's directory (docs/program.md section 6): its making and locking, own
// keys, trust file, settings, remembered projects, the index and the blocks in it. Any
// number of processes may have one open. It asks no peer, and decides nothing about
// signatures or trust: it asks the packages that do.
package home
