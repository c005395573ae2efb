// Package index is this node's own store of verified records and keys: what authors have
// signed, and when it was first seen here. Rooms below it answer what is asked: rangeset
// has the set that peers reconcile, authorlog the logs of authors, resolve what
// name@range stands for, search and lookalike find names, and fsck checks and repairs.
//
// It implements SPEC.md section 10 and docs/program.md section 4, and keeps the set of
// SPEC.md section 13.1 that peers reconcile. It takes nothing but
// sign.Verified, so no unverified byte can be found in it, and it keeps records of every
// author, trusted or, up to a limit, not: it prefers no author to another. Who may read its
// tables in SQL are its rooms, and none of them can write.
//
// The store is one SQLite file in WAL mode, which several processes may use at
// once. It must not lie on a network file system.
package index
