// Package modules turns a package directory into a UnixFS DAG and back.
//
// Scan finds the files that npm would publish, Pack writes them as blocks with
// one fixed profile, so that the same files have the same CID everywhere, and
// Inspect and Extract read any UnixFS directory, made by es or not, under the
// limits of the format, without ever touching anything outside the destination.
//
// It implements SPEC.md section 7, whose rules are tagged [M1] and up.
// It knows no network, no keys and no trust: blocks come from a Blocks and go to
// a Store, and what a tree claims is checked against a release by Check.
package modules
