// Package search finds names in an index: by what a user types, and those that look like
// another (SPEC.md sections 3.6 and 10).
//
// It knows the tables that hold names and words; what a name stands for is package
// resolve's to say.
package search
