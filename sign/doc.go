// Package sign verifies and makes the OpenPGP signatures of records, and keeps
// the public keys they need.
//
// It implements SPEC.md section 6. Open is the one way from bytes to a Verified
// record, and only this package can make one. A Key is a minimal key block whose
// every signature was verified; it is immutable, so goroutines may share it.
//
// Two kinds of verdict are kept apart. A SignatureError or KeyBlockError is a
// function of bytes alone: whoever sent them is at fault. A KeyError depends on
// which revocations and renewals have been seen, and an UnknownKeyError on which
// keys, so honest peers may differ on them.
//
// The package encrypts nothing, asks no keyserver, and never decides whom to
// trust.
package sign
