// Package resolve finds out, from the records of an index and what a user trusts, what
// name@range stands for (SPEC.md sections 9 and 10): the version to install, or the
// reason why there is none, as a typed error that says what is known. It also says what
// is known of a name to somebody who asks about it.
//
// Whom to believe is package trust's to say, which versions a range takes package
// npmrange's. It writes nothing and asks nobody.
package resolve
