package registry

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/npm/npmrc"
)

func TestProxies(t *testing.T) {
	env := map[string]string{"HTTPS_PROXY": "http://env.example:1", "NO_PROXY": "direct.example"}
	for _, c := range []struct{ settings, target, want string }{
		{"", "https://r.example/", "http://env.example:1"},
		{"", "http://r.example/", ""},
		{"", "https://direct.example/", ""},
		{"https-proxy=http://npm.example:2", "https://r.example/", "http://npm.example:2"},
		{"proxy=http://npm.example:3", "http://r.example/", "http://npm.example:3"},
		{"proxy=null", "http://r.example/", ""},
		{"noproxy=r.example", "https://r.example/", ""},
		{"", "http://127.0.0.1:4873/", ""},
	} {
		var config npmrc.Config
		config.Add(npmrc.User, c.settings, nil)
		cfg, err := FromNPM(&config, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", c.target, nil)
		u, err := cfg.Proxy(r)
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil || got != c.want {
			t.Errorf("%q, %s: %q, %v; want %q", c.settings, c.target, got, err, c.want)
		}
	}
}

func TestCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.WriteString(w, `{"name": "x", "versions": {}}`); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings string
		ok       bool
	}{
		{"", false},
		{"cafile=" + file, true},
		{`ca="` + strings.ReplaceAll(text, "\n", `\n`) + `"`, true},
		{"strict-ssl=false", true},
	} {
		var config npmrc.Config
		config.Add(npmrc.User, c.settings, nil)
		cfg, err := FromNPM(&config, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		cfg.Pause = time.Nanosecond
		client := New(cfg)
		_, err = client.Packument(t.Context(), server.URL+"/", "x", Abbreviated, Validators{})
		if (err == nil) != c.ok {
			t.Errorf("%.20q: %v", c.settings, err)
		}
		client.Close()
	}
	for _, settings := range []string{"cafile=/no/such/file", "ca=nonsense"} {
		var config npmrc.Config
		config.Add(npmrc.User, settings, nil)
		if _, err := FromNPM(&config, func(string) string { return "" }); err == nil {
			t.Errorf("%q is taken", settings)
		}
	}
}

func TestTarballURL(t *testing.T) {
	const base = "https://r.example/npm/"
	for _, c := range []struct{ name, resolved, want string }{
		{"a", "", base + "a/-/a-1.0.0.tgz"},
		{"@s/b", "", base + "@s/b/-/b-1.0.0.tgz"},
		{"a", "https://other.example/a/-/a-1.0.0.tgz", base + "a/-/a-1.0.0.tgz"},
		{"@s/b", "https://other.example/@s%2Fb/-/b-1.0.0.tgz", base + "@s/b/-/b-1.0.0.tgz"},
		{"a", "https://r.example/download/123/a.tgz", "https://r.example/download/123/a.tgz"},
		{"a", "https://other.example/download/a.tgz", ""},
		{"a", "http://r.example/download/a.tgz", ""},
		{"a", "https://other.example/b/-/b-1.0.0.tgz", ""},
		{"a", ":", ""},
	} {
		got, ok := TarballURL(base, c.name, "1.0.0", c.resolved)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s from %q: %q, %t", c.name, c.resolved, got, ok)
		}
	}
}
