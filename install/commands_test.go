package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
)

func TestBins(t *testing.T) {
	w := newWorld(t)
	js := files{"cli.js": "#!/usr/bin/env node\n"}
	w.publish("@s/tool@1.0.0", `"bin": "cli.js", "dependencies": {"below": "1"}`, js)
	w.publish("below@1.0.0", `"bin": {"tool": "cli.js", "below": "cli.js"}`, js)
	w.publish("a@1.0.0", `"bin": {"tool": "cli.js"}`, js)
	p := project(t, "")
	mustAdd(t, p, w, "@s/tool")
	wantBins := func(want ...string) {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(p.dir, "node_modules/.bin"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			target, err := os.Readlink(filepath.Join(p.dir, "node_modules/.bin", e.Name()))
			if err != nil {
				t.Error(err)
			}
			got = append(got, e.Name()+" "+filepath.ToSlash(target))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	// What the project asks for itself comes before what that needs.
	wantBins("below ../below/cli.js", "tool ../@s/tool/cli.js")
	info, err := os.Stat(filepath.Join(p.dir, "node_modules/.bin/tool"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program has mode %v, %v", info.Mode(), err)
	}
	r := mustAdd(t, p, w, "a")
	wantBins("below ../below/cli.js", "tool ../@s/tool/cli.js")
	if len(r.Warnings) != 2 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"@s/tool"}, Options{}); err != nil {
		t.Fatal(err)
	}
	wantBins("tool ../a/cli.js")
	os.Remove(filepath.Join(p.dir, "node_modules/.bin/tool"))
	mustInstall(t, p, w, Options{})
	wantBins("tool ../a/cli.js")

	// A .bin that is a link is not followed.
	p = project(t, "")
	outside := t.TempDir()
	os.Mkdir(filepath.Join(p.dir, lockfile.NodeModules), 0o755)
	os.Symlink(outside, filepath.Join(p.dir, "node_modules/.bin"))
	if r := mustAdd(t, p, w, "a"); len(r.Warnings) != 1 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("wrote %v, %v", entries, err)
	}
}

// npm's own commands stay npm's.
func TestForeignBinsStay(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"bin": {"x": "cli.js"}`, files{"cli.js": "#!/usr/bin/env node\n"})
	p := project(t, "")
	write(t, filepath.Join(p.dir, "node_modules/npms/x.js"), "")
	os.Mkdir(filepath.Join(p.dir, "node_modules/.bin"), 0o755)
	link := filepath.Join(p.dir, "node_modules/.bin/x")
	os.Symlink("../npms/x.js", link)
	if r := mustAdd(t, p, w, "a"); len(r.Warnings) != 1 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"a"}, Options{}); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "../npms/x.js" {
		t.Errorf("npm's command leads to %q, %v", target, err)
	}
}
