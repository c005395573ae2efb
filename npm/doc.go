// Package npm reads what an npm registry says of its packages: the keys it signs
// with, its signatures over name, version and integrity, and its publish
// attestations (SPEC.md section 17). It asks nobody and stores nothing; what a
// registry leaves unsigned is passed on as a hint.
package npm
