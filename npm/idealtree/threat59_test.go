package idealtree

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestThreat59ManifestsAreBounded holds SPEC Q120: manifests whose trees, or whose ways
// to place peers, have no end.
func TestThreat59ManifestsAreBounded(t *testing.T) {
	limit := func(t *testing.T, w world, root, what string) {
		t.Helper()
		_, err := resolve(t, w, Options{maxWork: 200_000}, root)
		var l *LimitError
		if !errors.As(err, &l) || !strings.Contains(l.What, what) {
			t.Errorf("the error is %v, want a limit of what is %s", err, what)
		}
	}
	t.Run("chain", func(t *testing.T) {
		w := world{"a@100.0.0": ``}
		for i := range 100 {
			w[fmt.Sprintf("a@%d.0.0", i)] = fmt.Sprintf(`"dependencies": {"a": "%d"}`, i+1)
		}
		limit(t, w, `"dependencies": {"a": "0"}`, "within each other")
	})
	t.Run("depth", func(t *testing.T) {
		// Each version of two packages needs the next of the other, which cannot stand
		// above it.
		w := world{}
		for i := range 100 {
			for _, name := range []string{"a", "b"} {
				w[fmt.Sprintf("%s@%d.0.0", name, i)] = fmt.Sprintf(`"dependencies": {"a": "%d", "b": "%d"}`, i+1, i+1)
			}
		}
		w["a@100.0.0"], w["b@100.0.0"] = ``, ``
		limit(t, w, `"dependencies": {"a": "0", "b": "0"}`, "tried")
	})
	t.Run("peers", func(t *testing.T) {
		// All need all as peers: there are as many ways through them as orders.
		w, names := world{}, []string{}
		for i := range 14 {
			names = append(names, fmt.Sprintf(`"p%d": "*"`, i))
		}
		for i := range names {
			w[fmt.Sprintf("p%d@1.0.0", i)] = `"peerDependencies": {` + strings.Join(names, ", ") + `}`
		}
		w["x@1.0.0"] = `"dependencies": {"p0": "1"}`
		limit(t, w, `"dependencies": {"x": "1"}`, "tried")
	})
	t.Run("places", func(t *testing.T) {
		w := world{}
		for level := range 12 {
			for version := range 3 {
				deps := fmt.Sprintf(`"dependencies": {"l%da": "%d", "l%db": "%d"}`, level+1, version, level+1, (version+1)%3)
				w[fmt.Sprintf("l%da@%d.0.0", level, version)] = deps
				w[fmt.Sprintf("l%db@%d.0.0", level, version)] = deps
			}
		}
		for version := range 3 {
			w[fmt.Sprintf("l12a@%d.0.0", version)], w[fmt.Sprintf("l12b@%d.0.0", version)] = ``, ``
		}
		tree, err := resolve(t, w, Options{}, `"dependencies": {"l0a": "1", "l0b": "2"}`)
		if err != nil || len(tree.Places) > 10_000 {
			t.Errorf("%v, %d places", err, len(tree.Places))
		}
	})
}
