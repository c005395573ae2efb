// Package mdns finds peers on the local network by multicast DNS, and lets them find this
// node (SPEC.md [D10] to [D12], docs/program.md [D13]). Anybody there can announce as many peers as they like:
// it bounds what is believed and dialled.
package mdns
