// Package openpgp is the grammar of OpenPGP packets, keys and signatures as far as
// es takes it (RFC 9580; SPEC.md sections 6.2 and 6.4): it parses bytes, puts them
// into their one form, and does the arithmetic. ParseElement parses and verifies a
// self-signature in one step.
//
// Which key may sign at what time, what a key from elsewhere keeps, and whose
// signature counts for what is for package sign. Nothing here reads a clock.
package openpgp
