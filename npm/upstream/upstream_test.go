package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestOpen finds the registry of a package where npm is configured for it, and never the
// one that asks.
func TestOpen(t *testing.T) {
	user, project := t.TempDir(), t.TempDir()
	t.Setenv("HOME", user)
	t.Setenv("USERPROFILE", user)
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ".npmrc"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const own = "127.0.0.1:4873"
	for _, c := range []struct {
		user, project, named string
		want                 string // of x
		scoped               string // of @s/x
		private              bool   // @s/x
		scopes               []string
		err                  error
	}{
		{user: "registry=https://r.example\n@s:registry=https://s.example/npm/\n//s.example/npm/:_authToken=t\n", want: "https://r.example/", scoped: "https://s.example/npm/", private: true, scopes: []string{"@s"}},
		{user: "registry=https://r.example\n", project: "registry=https://p.example/\n", want: "https://p.example/", scoped: "https://p.example/"},
		{user: "registry=https://r.example\n", project: "registry=http://" + own + "/\n", want: "https://r.example/", scoped: "https://r.example/"},
		{user: "registry=http://" + own + "\n", err: ErrSelf},
		{user: "registry=http://" + own + "\n", named: "https://n.example", want: "https://n.example/", scoped: "https://n.example/"},
		{user: "", named: "ftp://n.example", err: errors.New("any")},
	} {
		write(user, c.user)
		write(project, c.project)
		r, err := Open(Options{Dir: project, Named: c.named, Getenv: func(string) string { return "" }, Own: own})
		if err != nil {
			if c.err == nil || errors.Is(c.err, ErrSelf) && !errors.Is(err, ErrSelf) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		defer r.Close()
		for name, want := range map[string]string{"x": c.want, "@s/x": c.scoped} {
			if got, err := r.Base(t.Context(), name); err != nil || got != want {
				t.Errorf("%+v: %s is at %q, %v", c, name, got, err)
			}
		}
		if got, err := r.Private(t.Context(), "@s/x"); err != nil || got != c.private {
			t.Errorf("%+v: private is %t, %v", c, got, err)
		}
		if got := r.Scopes(); !slices.Equal(got, c.scopes) {
			t.Errorf("%+v: scopes %q", c, got)
		}
	}
}
