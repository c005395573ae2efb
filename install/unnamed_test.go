package install

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// TestThreat11ExtraneousDependencies (SPEC I20) is that of what records name as dependencies beside
// those in the module's own package.json no block is fetched: 100 records each with one
// such dependency of every kind.
func TestThreat11ExtraneousDependencies(t *testing.T) {
	for i := range 100 {
		w := newWorld(t)
		evil := w.publish("evil@1.0.0", "")
		w.publish("good@1.0.0", "")
		r := w.publish("lib@1.0.0", `"dependencies": {"good": "^1"}`)
		m := &r.Manifest
		m.Dependencies = map[string]string{"good": "^1"}
		deeper := i%4 == 3
		switch i % 5 {
		case 0:
			m.Dependencies["evil"] = "^1"
		case 1:
			m.OptionalDependencies = map[string]string{"evil": "^1"}
		case 2:
			m.PeerDependencies = map[string]string{"evil": "^1"}
		case 3:
			m.Dependencies["good"] = "npm:evil@^1"
		case 4:
			r.Pins = map[records.Name]cid.Cid{"evil": evil.Module}
		}
		ask := "lib"
		if deeper {
			ask = "app"
			w.publish("app@1.0.0", `"dependencies": {"lib": "^1"}`)
		}
		p := project(t, "")
		_, err := p.Add(context.Background(), w.sources(), requests(t, ask), Options{})
		if !errors.As(err, new(*IntegrityError)) {
			t.Errorf("%d: %v, want an *IntegrityError", i, err)
		}
		if slices.Contains(w.fetched, records.Name("evil")) {
			t.Errorf("%d: fetched %v", i, w.fetched)
		}
		if l := installed(t, p.dir); len(l) > 0 {
			t.Errorf("%d: installed %v", i, l)
		}
	}
}
