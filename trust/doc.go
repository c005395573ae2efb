// Package trust holds what this user believes: the trust file, and the decision
// which module a name and version stand for, given what authors claim.
//
// It implements SPEC.md section 9. Decisions are pure functions of the
// claims, the trust file, the user's own keys and a given moment: the order in
// which claims arrived and the peers that sent them are not inputs. The package
// knows no network and no database, and it verifies no signature: a claim comes
// from a record that package sign has verified.
package trust
