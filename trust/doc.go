// Package trust holds what this user believes: the trust file, and the decision
// which module a name and version stand for, given what authors claim.
//
// It implements SPEC.md section 9. Inputs are all that decisions depend on
// besides claims: the user's trust file, a project's, the user's own keys, facts
// about keys (delegations and successions) and a moment. Their Evaluator makes a
// Ruling about each name, and that decides. An evaluator may load facts when a ruling
// asks for them: it says then what it would say if it had been given all of them, or
// fails.
// Decisions are pure functions: the order in which records arrived and the peers
// that sent them are not inputs, and when something was first seen here makes
// warnings and holds, never another outcome. The package knows no network and no
// database, and it verifies no signature: what it is given comes from records
// that package sign has verified.
package trust
