// Package blocks is the store of blocks on this machine's disk (docs/program.md [N10] to
// [N13]): one file each, named after its SHA2-256 as flatfs does it, shared by any
// number of processes. It knows of trees only what their links say, asks no peer, and
// decides nothing about what is kept.
package blocks
