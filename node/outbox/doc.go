// Package outbox announces records and keys over gossip: what a command asks for, own
// records that no peer has taken yet, and what others may have missed (docs/program.md
// section 10). Other processes of the home add records too, so it polls the index.
package outbox
