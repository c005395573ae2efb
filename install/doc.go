// Package install puts modules into a project: it reads what package.json asks
// for, decides which module stands at which path of node_modules, writes that
// into es-lock.json, and makes the directory agree with it.
//
// It implements SPEC.md section 11, whose rules are tagged [I1] and up. What to trust is not decided here: a Resolver, which sees the index
// and the trust file, says which release a name and range mean, and a Fetcher
// brings the bytes. No script of a package ever runs.
package install
