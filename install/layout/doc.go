// Package layout makes node_modules hold the packages of a tree, compares what it holds
// with them, and links their commands.
//
// It implements SPEC.md section 11.5 and docs/program.md section 5 ([I21] to [I27], [I134]).
// A project is opened as a Dir; one process at a time locks it. A Change says what must be written and
// whether something that es did not put there is in the way, and applies it so that a
// crash at any point leaves each package old or new; the Note remembers what is es's. A
// Comparer believes nothing of that and compares bytes. Which packages a project needs is
// not decided here, and nothing is fetched.
package layout
