// Package registry asks an npm registry over HTTP: packuments, tarballs, its keys
// and attestations (SPEC.md section 17). It is polite: bounded connections,
// conditional requests, Retry-After and growing pauses. Everything it returns is
// somebody's word until package npm or a hash has checked it.
//
// It never sends what proves who asks to another host than the one it was
// configured for, and stores nothing.
package registry
