// Package api is what commands ask of a node: the calls of a Network, what they take
// and return, and their errors (SPEC.md section 12). Package node answers them in this
// process, package localapi asks a daemon.
package api
