// Package peerbook remembers which es nodes this one has met and where they answered,
// in peers.json (docs/program.md [N80]). It dials nobody.
package peerbook
