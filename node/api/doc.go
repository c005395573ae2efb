// Package api is what commands ask of a node: the calls of a Network, what they take
// and return, and their errors (docs/program.md section 13). Package node answers them in this
// process, package localapi asks a daemon.
package api
