package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everythingstays/es/npm/npmrc"
)

func serve(t *testing.T, cfg Config, h http.HandlerFunc) (*Client, string) {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	if cfg.Pause == 0 {
		cfg.Pause = time.Nanosecond
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c, server.URL + "/"
}

const packument = `{"name": "@es/x", "dist-tags": {"latest": "1.0.0", "odd": 1}, "modified": "2026-01-01T00:00:00Z",
	"time": {"created": "2020-01-01T00:00:00.000Z", "1.0.0": "2020-01-02T00:00:00.000Z", "0.1.0": "once"},
	"versions": {
		"0.1.0": {"name": "@es/x", "version": "0.1.0", "dependencies": [], "engines": "node", "deprecated": false, "dist": {"tarball": "T0", "shasum": "00"}},
		"1.0.0": {"name": "@es/x", "version": "1.0.0", "dependencies": {"a": "^1", "b": 2}, "optionalDependencies": {"c": "*"}, "peerDependencies": {"p": "1"},
			"peerDependenciesMeta": {"p": {"optional": true}}, "os": ["linux"], "cpu": "x64", "deprecated": "old",
			"dist": {"tarball": "T1", "integrity": "sha512-x", "signatures": [{"keyid": "k", "sig": "AAEC"}, {"keyid": "", "sig": "AA=="}],
				"attestations": {"url": "U"}}}}}`

func TestPackument(t *testing.T) {
	var asked []string
	c, base := serve(t, Config{UserAgent: "es/test"}, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath()+" "+r.Header.Get("Accept")+" "+r.Header.Get("If-None-Match")+" "+r.Header.Get("User-Agent"))
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, packument)
		z.Close()
	})
	p, err := c.Packument(t.Context(), base, "@es/x", Full, Validators{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Tags["latest"] != "1.0.0" || len(p.Tags) != 1 || len(p.Times) != 2 || len(p.Versions) != 2 || p.Versions[0].Version != "0.1.0" {
		t.Errorf("got %+v", p)
	}
	v, ok := p.Find("1.0.0")
	if !ok {
		t.Fatal("1.0.0 is missing")
	}
	d, err := v.Dist()
	if err != nil || d.Tarball != "T1" || d.Integrity != "sha512-x" || d.Attestation != "U" ||
		len(d.Signatures) != 1 || d.Signatures[0].KeyID != "k" || !bytes.Equal(d.Signatures[0].Signature, []byte{0, 1, 2}) {
		t.Errorf("dist %+v, %v", d, err)
	}
	h := v.Hints()
	if len(h.Dependencies) != 1 || h.Dependencies["a"] != "^1" || h.Optional["c"] != "*" || h.Peers["p"] != "1" || !h.OptionalPeers["p"] ||
		fmt.Sprint(h.OS, h.CPU) != "[linux] [x64]" || !h.Deprecated {
		t.Errorf("hints %+v", h)
	}
	odd, _ := p.Find("0.1.0")
	if h := odd.Hints(); len(h.Dependencies) != 0 || h.Deprecated {
		t.Errorf("odd values give %+v", h)
	}
	if p, err := c.Packument(t.Context(), base, "@es/x", Abbreviated, p.Validators); p != nil || err != nil {
		t.Errorf("asked again: %v, %v", p, err)
	}
	want := []string{
		"/@es%2Fx application/json  es/test",
		`/@es%2Fx application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8 "1" es/test`,
	}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestPackumentsThatLie(t *testing.T) {
	versions := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"1.0.%d":{}`, i)
		}
		return `{"name": "x", "versions": {` + b.String()[1:] + `}}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"HTML", "<!doctype html>", "invalid character"},
		{"cut", `{"name": "x", "versions": {"1.0.0": {`, "EOF"},
		{"another package", `{"name": "y", "versions": {}}`, `is of "y"`},
		{"no name", `{"versions": {}}`, `is of ""`},
		{"a list of versions", `{"name": "x", "versions": []}`, "not an object"},
		{"a version twice", `{"name": "x", "versions": {"1.0.0": {}, "1.0.0": {}}}`, "duplicate"},
		{"two lists of versions", `{"name": "x", "versions": {}, "versions": {}}`, "duplicate"},
		{"10,000 versions", versions(10_000), ""},
		{"too many versions", versions(MaxVersions + 1), "versions"},
		{"deep", `{"name": "x", "versions": {"1.0.0": ` + strings.Repeat("[", 20_000), "depth"},
	} {
		client, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, c.text) })
		_, err := client.Packument(t.Context(), base, "x", Abbreviated, Validators{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestRetries: what may pass is asked again, what will not is not.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		status, times int
		ok            bool
		asked         int
	}{
		{503, 2, true, 3},
		{429, 3, true, 4},
		{500, 9, false, MaxAttempts},
		{404, 1, false, 1},
		{401, 1, false, 1},
		{400, 1, false, 1},
	} {
		var asked atomic.Int32
		client, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
			if int(asked.Add(1)) <= c.times {
				w.WriteHeader(c.status)
				io.WriteString(w, `{"error": "because"}`)
				return
			}
			io.WriteString(w, `{"name": "x", "versions": {}}`)
		})
		_, err := client.Packument(t.Context(), base, "x", Abbreviated, Validators{})
		if (err == nil) != c.ok || int(asked.Load()) != c.asked {
			t.Errorf("%d %d times: %v after %d requests", c.status, c.times, err, asked.Load())
		}
		var status *StatusError
		if !c.ok && (!errors.As(err, &status) || status.Status != c.status || status.Text != "because") {
			t.Errorf("%d: %v", c.status, err)
		}
		if Missing(err) != (c.status == 404) {
			t.Errorf("%d: Missing is %t", c.status, Missing(err))
		}
	}
}

// TestConnectionLost: a registry that ends connections is asked again.
func TestConnectionLost(t *testing.T) {
	var asked atomic.Int32
	c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{"name": "x", "versions": {}}`)
	})
	if _, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{}); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "99999999": maxRetryAfter, "soon": 0, "1.5": 1500 * time.Millisecond,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": maxRetryAfter,
	} {
		if got := retryAfter(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// TestHangs: a registry that does not answer, and one that stops in the middle, end
// with an error that says so.
func TestHangs(t *testing.T) {
	stop := make(chan struct{})
	c, base := serve(t, Config{HeaderTimeout: 20 * time.Millisecond, StallTimeout: 20 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".tgz") {
			w.Write([]byte("some"))
			w.(http.Flusher).Flush()
		}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	if _, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{}); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("no answer: %v", err)
	}
	if _, _, err := c.Tarball(t.Context(), base+"x.tgz", nil, 1<<20, io.Discard); !errors.Is(err, ErrStalled) {
		t.Errorf("no end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Packument(ctx, base, "x", Abbreviated, Validators{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestTarball(t *testing.T) {
	content := bytes.Repeat([]byte("es"), 5000)
	c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut.tgz":
			w.Header().Set("Content-Length", "20000")
		case "/chunked.tgz":
			w.(http.Flusher).Flush()
		}
		w.Write(content)
	})
	want := sha512.Sum512(content)
	var got bytes.Buffer
	if n, hash, err := c.Tarball(t.Context(), base+"x.tgz", &want, 10_000, &got); err != nil || n != 10_000 || hash != want || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes, %v", n, err)
	}
	other := sha512.Sum512(nil)
	var integrity *IntegrityError
	if _, _, err := c.Tarball(t.Context(), base+"x.tgz", &other, 10_000, io.Discard); !errors.As(err, &integrity) || integrity.Got != want {
		t.Errorf("other bytes: %v", err)
	}
	var size *SizeError
	for _, name := range []string{"x.tgz", "chunked.tgz"} {
		if _, _, err := c.Tarball(t.Context(), base+name, nil, 9_999, io.Discard); !errors.As(err, &size) {
			t.Errorf("%s: a byte too much: %v", name, err)
		}
	}
	if _, _, err := c.Tarball(t.Context(), base+"cut.tgz", nil, 1<<20, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

// TestCredentialsStay: what is set for one host and port goes to no other, also not
// by a redirect (SPEC Q22).
func TestCredentialsStay(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{}
	note := func(where string, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[where] = r.Header.Get("Authorization")
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("other", r)
		io.WriteString(w, `{"name": "x", "versions": {}}`)
	}))
	t.Cleanup(other.Close)
	elsewhere := other.URL
	var config npmrc.Config
	c, base := serve(t, Config{Credentials: func(u *url.URL) npmrc.Credentials { return config.Credentials(u) }},
		func(w http.ResponseWriter, r *http.Request) {
			note("own", r)
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusFound)
		})
	config.Add(npmrc.User, "//"+strings.TrimPrefix(base, "http://")+":_authToken=secret", nil)
	if _, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{}); err != nil {
		t.Fatal(err)
	}
	if seen["own"] != "Bearer secret" || seen["other"] != "" {
		t.Errorf("sent %q", seen)
	}
}

func TestRedirects(t *testing.T) {
	var c *Client
	var base string
	c, base = serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, base+"again", http.StatusFound) })
	if _, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{}); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("for ever: %v", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("plain text was asked") }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusFound)
	}))
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	client := New(Config{RootCAs: roots, Pause: time.Nanosecond})
	defer client.Close()
	if _, err := client.Packument(t.Context(), secure.URL+"/", "x", Abbreviated, Validators{}); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("to plain text: %v", err)
	}
	stranger := New(Config{Pause: time.Nanosecond})
	defer stranger.Close()
	if _, err := stranger.Packument(t.Context(), secure.URL+"/", "x", Abbreviated, Validators{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestZipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 2 {
		z.Write(zeros)
	}
	z.Close()
	c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	var size *SizeError
	if _, err := c.Keys(t.Context(), base); !errors.As(err, &size) {
		t.Errorf("2 MiB of keys: %v", err)
	}
}

func FuzzParsePackument(f *testing.F) {
	f.Add([]byte(packument))
	f.Add([]byte(`{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"t","signatures":7}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePackument(b)
		if err != nil {
			return
		}
		for i := range p.Versions {
			p.Versions[i].Dist()
			p.Versions[i].Hints()
		}
	})
}
