package npmrc

import (
	"os"
	"path/filepath"
	"testing"
)

func put(t *testing.T, path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	home, project, prefix := filepath.Join(dir, "home"), filepath.Join(dir, "project"), filepath.Join(dir, "prefix")
	put(t, filepath.Join(prefix, "etc", "npmrc"), "registry=https://global.example/\n@g:registry=https://g.example/")
	put(t, filepath.Join(home, ".npmrc"), "\xef\xbb\xbfregistry=https://user.example/\n//user.example/:_authToken=${TOKEN}\n@u:registry=https://u.example/")
	put(t, filepath.Join(project, ".npmrc"), "@p:registry=https://p.example/\nstrict-ssl=false")
	other := filepath.Join(dir, "other-npmrc")
	put(t, other, "registry=https://other.example/")
	for _, c := range []struct {
		name           string
		places         Places
		package_, want string
	}{
		{"user before global", Places{Home: home, Prefix: prefix}, "x", "https://user.example/"},
		{"global's scope", Places{Home: home, Prefix: prefix}, "@g/x", "https://g.example/"},
		{"without a prefix", Places{Home: home}, "@g/x", "https://user.example/"},
		{"the project's scope", Places{Home: home, Project: project}, "@p/x", "https://p.example/"},
		{"the environment", Places{Home: home, Environ: []string{"npm_config_registry=https://env.example"}}, "x", "https://env.example/"},
		{"the environment in capitals", Places{Home: home, Environ: []string{"NPM_CONFIG_REGISTRY=https://env.example"}}, "x", "https://env.example/"},
		{"an empty variable", Places{Home: home, Environ: []string{"npm_config_registry="}}, "x", "https://user.example/"},
		{"a scope of the environment", Places{Home: home, Environ: []string{"npm_config_@e:registry=https://e.example"}}, "@e/x", "https://e.example/"},
		{"another user file", Places{Home: home, Environ: []string{"npm_config_userconfig=" + other}}, "x", "https://other.example/"},
		{"another prefix", Places{Home: dir, Environ: []string{"npm_config_prefix=" + prefix}}, "x", "https://global.example/"},
		{"nothing", Places{Home: dir}, "x", ""},
		{"no home", Places{Prefix: prefix}, "x", "https://global.example/"},
	} {
		config, err := Load(c.places)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := config.Registry(c.package_); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	config, err := Load(Places{Home: home, Project: project, Environ: []string{"TOKEN=s3cret", "npm_config_strict_ssl=true"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := config.Get("//user.example/:_authToken"); got != "s3cret" {
		t.Errorf("the user's token is %q", got)
	}
	if got, _ := config.Get("strict-ssl"); got != "true" || len(config.Ignored()) != 1 {
		t.Errorf("strict-ssl is %q, ignored %v", got, config.Ignored())
	}
}

// TestLoadInTheHome: ~/.npmrc is the user's, also where a package.json lies beside it.
func TestLoadInTheHome(t *testing.T) {
	home := t.TempDir()
	put(t, filepath.Join(home, ".npmrc"), "registry=https://user.example/${TOKEN}/")
	config, err := Load(Places{Home: home, Project: home, Environ: []string{"TOKEN=t"}})
	if err != nil || len(config.Ignored()) > 0 {
		t.Errorf("%v, ignored %v", err, config.Ignored())
	}
	if got, _ := config.Registry("x"); got != "https://user.example/t/" {
		t.Errorf("registry %q", got)
	}
}

// TestLoadHostileFile: a project's .npmrc that never ends is an error at once.
func TestLoadHostileFile(t *testing.T) {
	project := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(project, ".npmrc")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Places{Home: t.TempDir(), Project: project}); err == nil {
		t.Error("read /dev/zero")
	}
}

// TestThreat66PlaintextRegistry: a project's .npmrc has no token of the user's sent without
// TLS. SPEC Q21
func TestThreat66PlaintextRegistry(t *testing.T) {
	home, project := t.TempDir(), t.TempDir()
	put(t, filepath.Join(home, ".npmrc"), "registry=https://corp.example/\n//corp.example/:_authToken=s3cret\n//127.0.0.1:4873/:_authToken=t\n")
	for _, c := range []struct{ text, name, want string }{
		{"registry=http://corp.example/", "x", "https://corp.example/"},
		{"@a:registry=http://corp.example/npm/", "@a/x", "https://corp.example/"},
		{"registry=http://other.example/", "x", "http://other.example/"},
		{"registry=http://127.0.0.1:4873/", "x", "http://127.0.0.1:4873/"},
		{"registry=http://mine.example/\n//mine.example/:_authToken=public", "x", "http://mine.example/"},
	} {
		put(t, filepath.Join(project, ".npmrc"), c.text)
		config, err := Load(Places{Home: home, Project: project})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := config.Registry(c.name); got != c.want || err != nil {
			t.Errorf("%q: %s comes from %q, %v; want %q", c.text, c.name, got, err, c.want)
		}
		if dropped := c.want == "https://corp.example/"; dropped != (len(config.Ignored()) == 1) {
			t.Errorf("%q: ignored %v", c.text, config.Ignored())
		}
	}
}
