// Package replica is which modules are on this machine for others: it fetches them from
// peers, by transfer and else by bitswap, serves them, seeds those of others as the user
// says, and leaves room on the disk (docs/program.md [N40], [N50], [N162], SPEC.md [B16],
// [B80]). What a module is, and whom the user trusts, others decide.
package replica
