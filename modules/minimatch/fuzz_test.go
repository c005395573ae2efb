package minimatch

import "testing"

func FuzzGlob(f *testing.F) {
	f.Add("*.js", "a.js")
	f.Add("!(a|b)*(c)", "lib/x.js")
	f.Add("{a,b{c,d}}/[!x]?", "a/b")
	f.Add("**/+(a|@(b|!(c)))/**", "x/y/z")
	f.Add("[[:alpha:]-z]", "q")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(pattern) > 100 || len(path) > 100 {
			return
		}
		r := Compile(pattern, &Budget{Left: 1 << 20})
		r.MatchEntry(path, false, "")
		r.MatchEntry(path, true, "x")
	})
}
