package install

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
)

// SPEC R120, I1, I13: a range means the same wherever it stands: behind a name that is
// added, in package.json, and in the dependencies of a module. A set that is empty holds
// every version, and a number with a zero before it is none.
func TestRangesMeanTheSameEverywhere(t *testing.T) {
	for spec, want := range map[string]string{
		"^1.0.0": "a@1.5.0", "^1.0.0 ||": "a@2.0.0", "|| ^1.0.0": "a@2.0.0", "1 || ": "a@2.0.0", "<1 ||": "a@2.0.0", "||": "a@2.0.0",
		"01.2.3": "", "^01.2.3": "", "1.02.x": "",
	} {
		w := newWorld(t)
		for _, id := range []string{"a@1.0.0", "a@1.5.0", "a@2.0.0"} {
			w.publish(id, "")
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		w.publish("by@1.0.0", `"dependencies": {"a": `+string(text)+`}`)

		added, installed, needed := project(t, ""), project(t, `"a": `+string(text)), project(t, `"by": "1.0.0"`)
		r, err := packagejson.ParseRequest("a@" + spec)
		if err == nil {
			_, err = added.Add(t.Context(), w.sources(), []Request{r}, Options{})
		}
		got := map[string]error{"added": err}
		_, got["installed"] = installed.Install(t.Context(), w.sources(), Options{})
		_, got["needed"] = needed.Install(t.Context(), w.sources(), Options{})
		for how, p := range map[string]*Project{"added": added, "installed": installed, "needed": needed} {
			var bad *packagejson.SpecError
			var syntax *SyntaxError
			if want == "" {
				if err := got[how]; !errors.As(err, &bad) && !errors.As(err, &syntax) {
					t.Errorf("%q, %s: %v, want a refusal", spec, how, err)
				}
				continue
			}
			l, err := lockfile.Read(filepath.Clean(p.dir))
			if err := errors.Join(got[how], err); err != nil {
				t.Errorf("%q, %s: %v", spec, how, err)
				continue
			}
			if a := l.Packages["node_modules/a"]; a == nil || a.String() != want {
				t.Errorf("%q, %s: got %v, want %s", spec, how, a, want)
			}
			if _, err := p.Install(t.Context(), w.sources(), Options{Frozen: true}); err != nil {
				t.Errorf("%q, %s: %v", spec, how, err)
			}
		}
	}
}
