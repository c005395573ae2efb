// Package records holds what es says about modules: names, versions,
// fingerprints and the records that authors sign, in their one canonical
// encoding.
//
// It implements SPEC.md sections 2 to 5. It knows no keys and no network: what
// it decodes is well-formed, not verified. Package sign turns the bytes of an
// envelope into a verified record; nothing else should.
package records
