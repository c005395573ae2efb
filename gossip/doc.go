// Package gossip spreads records and key blocks between peers that know nothing
// of each other, over gossipsub.
//
// It implements SPEC.md section 8 and docs/program.md section 3. It knows no keys, no trust and
// no index: whoever uses it validates each message in Config.Accept. Gossip
// announces and forgets; what it drops it counts and reports in Config.Dropped.
package gossip
