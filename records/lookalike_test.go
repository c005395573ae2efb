package records

import (
	"encoding/json"
	"testing"
)

// An alike is a name, one that is known, and whether the first looks like the second.
type alike struct {
	Name, Known Name
	Alike       bool
}

func alikeVectors() []vector {
	return []vector{
		wordVector("alike-skeleton", "ok", "R42", "names with one skeleton, and with two", "alike.json",
			alike{"leftpad", "left-pad", true}, alike{"left-pad", "leftpad", true}, alike{"left.pad", "left_pad", true}, alike{"@left/pad", "left-pad", true},
			alike{"1eft-pad", "left-pad", true}, alike{"ieft-pad", "1eft-pad", true}, alike{"l0dash", "lodash", true}, alike{"expres", "express", true},
			alike{"ppad", "pad", true}, alike{"d3.js", "d3", true}, alike{"d3", "d3.js", true}, alike{"modem", "modern", true}, alike{"wue", "vvue", true},
			alike{"mod-e-r-n", "modem", true}, alike{"m-s", "ms", true},
			alike{"left-pad", "left-pad", false}, alike{"left-pad", "right-pad", false}, alike{"pad-left", "left-pad", false},
			alike{"d3js", "d3", false}, alike{"@acme/left-pad", "left-pad", false}, alike{"vvue", "vue", false}),
		wordVector("alike-slip", "ok", "R43", "names that one slip makes of another", "alike.json",
			alike{"left-pad1", "left-pad", true}, alike{"lefft-pad", "left-pad", true}, alike{"left-pda", "left-pad", true}, alike{"elft-pad", "left-pad", true},
			alike{"lef-pad", "left-pad", true}, alike{"loft-pad", "left-pad", true}, alike{"lefts-pad", "left-pad", true}, alike{"through2", "through", true},
			alike{"@tyeps/ms", "@types/ms", true}, alike{"@types/exprss", "@types/express", true}, alike{"debgu", "debug", true}, alike{"requests", "request", true},
			alike{"bell2", "bell9", false}, alike{"through", "through2", false}, alike{"request", "requests", false}, alike{"http-proxy-agent", "https-proxy-agent", false},
			alike{"lodas", "lodash", true}, alike{"gleft-pad", "left-pad", false}, alike{"eft-pad", "left-pad", false}, alike{"left-dad", "left-pad", false},
			alike{"get-proto", "set-proto", false}, alike{"tmp", "tmpl", false}, alike{"leve", "level", false}, alike{"@types/ms", "@types/qs", false},
			alike{"@types/a-ms", "@types/ab-ms", false}, alike{"loft-pda", "left-pad", false}, alike{"node-10", "node-11", false},
			alike{"leftxpad", "left-pad", true}, alike{"left-pad", "leftxpad", true}, alike{"left_pads", "left-pad", false}, alike{"leftpad-x", "left-padx", true}),
	}
}

func testAlike(t *testing.T, _ *vector, text []byte) {
	var rows []alike
	decodeJSON(t, text, &rows)
	for _, r := range rows {
		if got := r.Name.LooksLike(r.Known); got != r.Alike {
			t.Errorf("%s looks like %s: %v, want %v", r.Name, r.Known, got, r.Alike)
		}
	}
}

func FuzzLooksLike(f *testing.F) {
	n := 0
	for _, v := range alikeVectors() {
		var rows []alike
		if err := json.Unmarshal(v.files[0].Data, &rows); err != nil {
			f.Fatal(err)
		}
		for _, r := range rows {
			f.Add(string(r.Name), string(r.Known))
			n++
		}
	}
	if n == 0 {
		f.Fatal("there are no seeds")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Name(a), Name(b)
		same := x.Skeleton() == y.Skeleton()
		if x == y && x.LooksLike(y) || x != y && same && !x.LooksLike(y) {
			t.Fatalf("%q looks like %q: %v", a, b, x.LooksLike(y))
		}
		if s := x.Skeleton(); len(s) > len(a) {
			t.Fatalf("the skeleton of %q is %q", a, s)
		}
		if d := len(a) - len(b); x.LooksLike(y) && !same && (d < -1 || d > 1) {
			t.Fatalf("%q looks like %q", a, b)
		}
	})
}
