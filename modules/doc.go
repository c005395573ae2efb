// Package modules turns a package directory into a module, and says what a release says
// of it. Scan finds the files that npm would publish (packlist), Pack stores them (unixfs),
// and Check holds a tree against a release. Whoever has a module derives the same manifest
// from its package.json.
//
// It implements SPEC.md section 7, whose rules are tagged [M1] and up, with packages unixfs
// (blocks), packlist and minimatch (which files), casefold (names) and extract (back to disk).
// It knows no network, no keys and no trust: blocks come from a unixfs.Blocks and go to a
// unixfs.Store.
package modules
