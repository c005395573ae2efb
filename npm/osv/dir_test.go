package osv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/everythingstays/es/records"
)

func parsed(t *testing.T, text string) *Advisory {
	t.Helper()
	a, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDir keeps advisories, and replaces and takes away those that come again (SPEC N421).
func TestDir(t *testing.T) {
	d := OpenDir(filepath.Join(t.TempDir(), "advisories"))
	if got, err := d.About("left"); err != nil || got != nil {
		t.Fatalf("without a directory: %v, %v", got, err)
	}
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	two := `{"id":"MAL-1","summary":"s","affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1.0.0"]},{"package":{"ecosystem":"npm","name":"@es/x"},"versions":["2.0.0"]}]}`
	one := `{"id":"GHSA-1","database_specific":{"severity":"LOW"},"affected":[{"package":{"ecosystem":"npm","name":"left"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.2.0"},{"fixed":"1.3.0"}]}]}]}`
	if n, err := d.Put([]*Advisory{parsed(t, two), parsed(t, one)}); n != 2 || err != nil {
		t.Fatalf("put: %d, %v", n, err)
	}
	if after, err := d.State(); err != nil || after == before {
		t.Errorf("the state stays %q, %v", after, err)
	}
	affecting := func(name string, v records.Version) (ids []string) {
		t.Helper()
		all, err := d.About(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if all[i].Affects(name, v) {
				ids = append(ids, all[i].ID)
			}
		}
		return ids
	}
	if got := affecting("left", "1.0.0"); len(got) != 1 || got[0] != "MAL-1" {
		t.Errorf("left 1.0.0: %q", got)
	}
	if got := affecting("left", "1.2.5"); len(got) != 1 || got[0] != "GHSA-1" {
		t.Errorf("left 1.2.5: %q", got)
	}
	if got := affecting("@es/x", "1.0.0"); got != nil {
		t.Errorf("@es/x 1.0.0: %q", got)
	}
	// A later form of an advisory counts alone; a withdrawn one not at all.
	later := `{"id":"MAL-1","affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1.1.0"]}]}`
	gone := `{"id":"GHSA-1","withdrawn":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1.2.5"]}]}`
	for range 2 {
		if _, err := d.Put([]*Advisory{parsed(t, later), parsed(t, gone)}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b, c := affecting("left", "1.0.0"), affecting("left", "1.1.0"), affecting("left", "1.2.5"); a != nil || len(b) != 1 || c != nil {
		t.Errorf("left: %q, %q, %q", a, b, c)
	}
	// What is damaged is an error, not silence; and is written anew.
	if err := os.WriteFile(d.shard("left"), []byte("\"left\" {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.About("left"); err == nil {
		t.Error("a damaged file says nothing")
	}
	if _, err := d.Put([]*Advisory{parsed(t, one)}); err != nil {
		t.Fatal(err)
	}
	if got := affecting("left", "1.2.5"); len(got) != 1 {
		t.Errorf("after damage: %q", got)
	}
}

func TestRange(t *testing.T) {
	for text, want := range map[string]string{
		`"versions":["1.0.0","1.1.0"]`: "1.0.0 || 1.1.0",
		`"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"2.0.0"},{"introduced":"3.0.0"},{"last_affected":"3.1.0"}]}]`: "<2.0.0 || >=3.0.0 <=3.1.0",
		`"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]`:                                                                    "*",
		`"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"}]}]`:                                                                ">=1.0.0",
	} {
		a := parsed(t, `{"id":"A","affected":[{"package":{"ecosystem":"npm","name":"x"},`+text+`},{"package":{"ecosystem":"npm","name":"y"},"versions":["9.0.0"]}]}`)
		if got := a.Range("x"); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
