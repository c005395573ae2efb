package manifest

import (
	"slices"
	"strings"
	"testing"
)

// TestWorkspacePatterns holds SPEC Q110.
func TestWorkspacePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, dir string
		want         bool
	}{
		{"**", "a/b", true}, {"a/**/b", "a/b", true}, {"a/**/b/**/c", "a/x/b/y/z/c", true}, {"a/**/b", "a/b/c", false},
		{"a/*", "a", false}, {"a/*", "a/b/c", false}, {"**/b/**", "a/c", false},
	} {
		if got := isWorkspace([]string{c.pattern}, c.dir); got != c.want {
			t.Errorf("%q matches %q: %t", c.pattern, c.dir, got)
		}
	}
}

// TestParse holds SPEC Q101: the order of a file, and what is of another form.
func TestParse(t *testing.T) {
	m, err := Parse([]byte(`{"name": "a", "version": "1.0.0", "dependencies": {"z": "1", "b": "2", "z": "3", "n": 4, "o": "1"},
		"optionalDependencies": {"o": "2"}, "peerDependencies": [], "peerDependenciesMeta": {"p": {"optional": true}, "q": 1},
		"bundledDependencies": true, "deprecated": "", "os": "linux", "engines": {"node": ">=20"}, "workspaces": {"packages": ["w/*"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Dependency{{"z", "3"}, {"b", "2"}}; !slices.Equal(m.Dependencies, want) {
		t.Errorf("dependencies are %q", m.Dependencies)
	}
	if !slices.Equal(m.Bundled, []string{"z", "b"}) || !m.OptionalPeers["p"] || m.OptionalPeers["q"] || m.Deprecated || m.Engines.Node != ">=20" || !slices.Equal(m.Workspaces, []string{"w/*"}) {
		t.Errorf("it is %+v", m)
	}
	for _, bad := range []string{`[]`, `"x"`, `{`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s is a package.json", bad)
		}
	}
	for _, bad := range []string{`{"x": 1}`, `{"../x": "1"}`} {
		if _, err := Parse([]byte(`{"overrides": ` + bad + `}`)); err == nil {
			t.Errorf("%s are overrides", bad)
		}
	}
	deep := strings.Repeat(`{"a": `, 40) + `"1"` + strings.Repeat("}", 40)
	if _, err := Parse([]byte(`{"overrides": ` + deep + `}`)); err == nil {
		t.Error("overrides are read however deep")
	}
}
