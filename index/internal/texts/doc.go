// Package texts keeps what search reads of an index: the names of releases with their
// places, and of each name and author the words of the newest release, in the order in
// which search finds them (docs/program.md section 4).
package texts

import _ "embed" // the tables

// Schema makes the tables of names and texts.
//
//go:embed texts.sql
var Schema string

// WordsSchema makes the table of the words that search finds.
//
//go:embed words.sql
var WordsSchema string
