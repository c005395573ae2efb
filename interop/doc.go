// Package interop holds tests of the es binary against the programs it has to
// get along with: kubo, gpg, sq, npm and node. It is a module of its own so that
// what it needs never becomes a dependency of es; kubo has one more, because
// it does not compile with the dependencies of es.
//
// Nothing here is skipped: a missing program fails the test that needs it.
// Traffic stays on the loopback interface, except for npm's, which fetches
// real packages from the registry that npm is configured for and keeps them in
// the user's cache directory.
package interop
