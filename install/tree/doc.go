// Package tree turns the dependencies of a project into a tree of packages: which release
// each name and range means, and which node_modules it stands in, so that every package
// finds what it needs where node looks.
//
// It implements SPEC.md section 11.3, whose rules are tagged [I13] to [I19], and says by
// [I12] whether an es-lock.json agrees with a package.json. Plan asks a Resolver for
// releases and a Modules for what was signed; the same answers give the same tree on every
// machine. What a platform leaves out is decided here, and nothing is read or written.
package tree
