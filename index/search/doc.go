// Package search finds names in an index: by what a user types (docs/program.md section
// 4).
//
// It knows the tables that hold names and words; what a name stands for is package
// resolve's to say.
package search
