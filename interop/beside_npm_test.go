package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBesideNPM lets real npm and es work in one project: what npm removes comes back by the
// hook that es names, and what npm has put there is neither replaced nor removed.
func TestBesideNPM(t *testing.T) {
	u, _ := newAuthor(t, "ada")
	sources := t.TempDir()
	for _, name := range []string{"mine", "theirs", "shared"} {
		dir := filepath.Join(sources, name)
		write(t, filepath.Join(dir, "package.json"), `{"name":"`+name+`","version":"1.0.0","bin":{"`+name+`":"cli.js"}}`)
		write(t, filepath.Join(dir, "cli.js"), "#!/usr/bin/env node\nconsole.log('"+name+"')\n")
		u.publish(dir)
	}
	// What npm calls "es install" is the program under test.
	env := append(u.env(), "npm_config_offline=true", "npm_config_audit=false", "npm_config_fund=false", "npm_config_update_notifier=false",
		"npm_config_cache="+t.TempDir(), "PATH="+filepath.Dir(u.program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	npm := func(dir string, args ...string) string { t.Helper(); return must(t, dir, env, "npm", args...) }
	for _, name := range []string{"theirs", "shared"} {
		npm(sources, "pack", "--silent", "--pack-destination", sources, filepath.Join(sources, name))
	}
	app := filepath.Join(sources, "app")
	write(t, filepath.Join(app, "package.json"),
		`{"name":"app","version":"1.0.0","dependencies":{"theirs":"file:../theirs-1.0.0.tgz","shared":"file:../shared-1.0.0.tgz"}}`)
	npm(app, "install")
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(app, "node_modules", name, "cli.js"))
		return err == nil
	}

	added := u.try(app, "--offline", "add", "mine")
	if added.code != 0 || !strings.Contains(added.stderr, `"scripts": {"dependencies": "es install --frozen"}`) {
		t.Fatalf("es add does not say what helps: %v", added)
	}
	npm(app, "prune")
	if there("mine") {
		t.Error("npm prune left it: what es add warns of is not so")
	}
	text, err := os.ReadFile(filepath.Join(app, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	hooked := strings.Replace(string(text), `"version":"1.0.0"`, `"version":"1.0.0","scripts":{"dependencies":"es install --frozen"}`, 1)
	write(t, filepath.Join(app, "package.json"), strings.Replace(hooked, `"version": "1.0.0"`, `"version": "1.0.0","scripts":{"dependencies":"es install --frozen"}`, 1))
	for _, args := range [][]string{{"install"}, {"ci"}, {"prune"}, {"uninstall", "theirs"}, {"install", "../theirs-1.0.0.tgz"}, {"update"}} {
		u.es(app, "--offline", "install", "--frozen")
		npm(app, args...)
		if !there("mine") || !there("shared") {
			t.Errorf("after npm %s: mine %v, shared %v", strings.Join(args, " "), there("mine"), there("shared"))
		}
		if v := u.try(app, "verify", "--installed"); v.code != 0 || !strings.Contains(v.stderr, "1 package verified") {
			t.Errorf("after npm %s: %v", strings.Join(args, " "), v)
		}
	}

	// The very module is taken as it is, and stays npm's.
	before, err := os.Stat(filepath.Join(app, "node_modules/shared"))
	if err != nil {
		t.Fatal(err)
	}
	added = u.try(app, "--offline", "add", "shared")
	if added.code != 0 || !strings.Contains(added.stderr, "shared@1.0.0 was there already") {
		t.Errorf("the very module: %v", added)
	}
	u.es(app, "--offline", "remove", "shared")
	if now, err := os.Stat(filepath.Join(app, "node_modules/shared")); err != nil || !os.SameFile(before, now) {
		t.Errorf("npm's package was touched: %v", err)
	}

	// Another module of the name is not.
	write(t, filepath.Join(sources, "theirs", "package.json"), `{"name":"theirs","version":"1.1.0"}`)
	u.publish(filepath.Join(sources, "theirs"))
	if r := u.try(app, "--offline", "add", "theirs"); r.code != 1 || !strings.Contains(r.stderr, `"theirs@1.0.0" is there`) {
		t.Errorf("another module: %v", r)
	}
	if out := npm(app, "ls"); !strings.Contains(out, "theirs@1.0.0") {
		t.Errorf("npm ls: %s", out)
	}
}
