// Package fsck reads everything that an index stores again, as if it came from a
// stranger, says what is damaged, and has the rest made anew (SPEC.md section 10).
//
// It alone beside the index knows its tables, and it writes nothing: what is taken out
// goes through index.Rebuild.
package fsck
