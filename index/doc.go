// Package index is this node's own store of verified records: what authors have
// said, when it was first seen here, and the questions one asks of it: search,
// resolution, equivocation, and what to tell others.
//
// It implements SPEC.md section 10 and docs/program.md section 4, and keeps the set of
// SPEC.md section 13.1 that peers reconcile. It takes nothing but sign.Verified, so no unverified byte can be
// found in it, and it keeps records of every author, trusted or, up to a limit,
// not: each reading that prefers one author to another is given a trust.View. It
// knows no network, and it does not log.
//
// The store is one SQLite file in WAL mode, which several processes may use at
// once. It must not lie on a network file system.
package index
