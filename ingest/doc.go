// Package ingest is the one way by which what others signed comes into the index:
// records and key blocks that gossip brings, that a peer answers when it is asked, and
// that files hold. It decides what is stored and what is worth passing on (SPEC.md
// section 12.2; N42, N43 and N270 in docs/program.md): the rules are a table in
// rules.go. It knows whom the node follows, for that decides what is a stranger's.
//
// It knows no network: peers and addresses are texts to it, and nothing is sent from
// here. It signs nothing, deletes nothing, and decides nothing about names, which is
// package trust's.
package ingest
