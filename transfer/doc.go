// Package transfer moves the blocks of whole module trees between es nodes: one
// request, a stream of blocks, each verified as it arrives.
//
// It implements SPEC.md section 14, whose rules are tagged [B1] and up.
package transfer
