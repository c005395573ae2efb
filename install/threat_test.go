package install

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// TestThreat42Scripts: of 50 packages with every script that npm runs around an
// installation none runs anything, and those that npm would run are listed.
// SPEC I26
func TestThreat42Scripts(t *testing.T) {
	w := newWorld(t)
	canaries := t.TempDir()
	hooks := []string{"preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare", "prepublish", "prepublishOnly", "prepack", "postpack", "dependencies", "preuninstall", "uninstall", "postuninstall", "restart", "start", "stop", "test"}
	var names []string
	for i := range 50 {
		var scripts []string
		for _, hook := range hooks {
			scripts = append(scripts, fmt.Sprintf("%q: %q", hook, "touch "+filepath.Join(canaries, fmt.Sprint(hook, i))))
		}
		name := fmt.Sprintf("p%d", i)
		w.publish(name+"@1.0.0", `"scripts": {`+strings.Join(scripts, ", ")+`}, "gypfile": true, "bin": {"`+name+`": "package.json"}`)
		names = append(names, name)
	}
	p := project(t, "")
	root := "touch " + filepath.Join(canaries, "root")
	write(t, filepath.Join(p.dir, packagejson.Name), fmt.Sprintf(`{"scripts": {"dependencies": %q, "postinstall": %q}}`, root, root))
	r, err := p.Add(t.Context(), w.sources(), requests(t, names...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Scripts) != len(names) {
		t.Errorf("%d packages with scripts are listed, want %d", len(r.Scripts), len(names))
	}
	if _, err := p.Install(t.Context(), w.sources(), Options{Frozen: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{records.Name(names[0])}, Options{}); err != nil {
		t.Fatal(err)
	}
	_ = filepath.WalkDir(canaries, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			t.Errorf("a script ran: %s, %v", path, err)
		}
		return nil
	})
}
