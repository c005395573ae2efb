// Package samples holds two small npm modules of our own, for `es demo`, the
// benchmarks and the tests: @everythingstays/greeting, which has a dotfile, an
// empty file, nested directories and a non-ASCII file name, and hello-es, a
// program that needs exactly greeting 1.0.0.
package samples

import "embed"

// FS has one directory per module, named in Dirs. Embedding loses file modes:
// whoever writes these files out makes them 0644, and package modules makes
// the ones that package.json names as bins executable.
//
//go:embed all:greeting all:hello-es
var FS embed.FS

// Dirs names the modules' directories in FS in the order to publish them: a
// module comes after those it depends on.
var Dirs = []string{"greeting", "hello-es"}
