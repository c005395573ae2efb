package endpoint

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// A source has @es/x 1.0.0 and 1.1.0, and hides "held".
type source struct {
	stamp     string
	made      atomic.Int32
	published []Publication
}

var tarballBytes = []byte("the bytes of a tarball")

func (s *source) known(name string) error {
	switch name {
	case "@es/x":
		return nil
	case "held":
		return &RefusedError{http.StatusNotFound, "held 1.0.0 is 3 hours old, and min-age is 1d; es why held"}
	case "broken":
		return errors.New("disk on fire at /secret/path")
	}
	return &RefusedError{http.StatusNotFound, "no key you trust released it; es search --all " + name}
}

func (s *source) Stamp(_ context.Context, name string, _ Form) (string, error) {
	return s.stamp, s.known(name)
}

func (s *source) Packument(_ context.Context, name string, _ Form) (*Packument, error) {
	if err := s.known(name); err != nil {
		return nil, err
	}
	s.made.Add(1)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	return &Packument{
		Name: name, Tags: map[string]string{"latest": "1.1.0"}, Created: at.Add(-time.Hour), Modified: at,
		Versions: []Version{
			{Version: "1.0.0", Published: at.Add(-time.Hour), Manifest: &records.Manifest{}},
			{
				Version: "1.1.0", Published: at, Deprecated: "old",
				Manifest: &records.Manifest{
					Description: "d", Dependencies: map[string]string{"a": "^1"}, PeerDependencies: map[string]string{"p": "1"}, OptionalPeers: []string{"p"},
					Bin: map[string]string{"x": "cli.js"}, Scripts: true, OS: []string{"linux"},
				},
				Package: []byte(`{"name": "lies", "scripts": {"test": "t"}, "dist": {"tarball": "lies"}, "dependencies": {"lies": "1"}, "author": "Ann"}`),
				SHA512:  sha512.Sum512(tarballBytes), Files: 2, Size: 22, Resolved: "https://r.example/@es/x/-/x-1.1.0.tgz",
				Signatures: []records.OriginSignature{{KeyID: "k", Signature: []byte{1}}},
			},
		},
	}, nil
}

func (s *source) Tarball(_ context.Context, name, version string) (*Tarball, error) {
	if err := s.known(name); err != nil {
		return nil, err
	}
	if version != "1.1.0" {
		return nil, &RefusedError{http.StatusNotFound, "no such version"}
	}
	return &Tarball{nopCloser{bytes.NewReader(tarballBytes)}, sha512.Sum512(tarballBytes)}, nil
}

func (s *source) Search(_ context.Context, text string, from, size int) (*Found, error) {
	return &Found{Total: 1, Hits: []Hit{{Name: "@es/x", Version: "1.1.0", Description: fmt.Sprint(text, " ", from, " ", size), Publisher: "Ada"}}}, nil
}

func (s *source) Advisories(_ context.Context, installed map[string][]string) (map[string][]Advisory, error) {
	if len(installed["@es/x"]) == 0 {
		return nil, nil
	}
	return map[string][]Advisory{"@es/x": {{ID: 1, Title: "bad", Severity: "high", Vulnerable: "<2"}}}, nil
}

func (s *source) Private(_ context.Context, name string) (bool, error) {
	return name == "@private/x", nil
}

func (s *source) User(_ context.Context, token string) (string, error) {
	if token == "good" {
		return "ada", nil
	}
	return "", nil
}

func (s *source) Publish(_ context.Context, user string, p *Publication) error {
	if p.Version == "1.1.0" {
		return &RefusedError{http.StatusConflict, "@es/x 1.1.0 is published already; raise the version"}
	}
	s.published = append(s.published, *p)
	return nil
}

func start(t *testing.T) (*source, string) {
	s := &source{stamp: "1"}
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String() + "/"
	e, err := New(Config{Source: s, Base: base, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = e
	server.Start()
	t.Cleanup(server.Close)
	return s, base
}

func do(t *testing.T, method, url string, header map[string]string, body io.Reader) (*http.Response, string) {
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

type doc map[string]any

func (d doc) at(path ...string) any {
	var v any = map[string]any(d)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func decode(t *testing.T, body string) doc {
	var d doc
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return d
}

var install = map[string]string{"Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}

// TestPackumentForms asks as the clients do: with the slash of the scope in either
// form, for either document (SPEC Q41 and Q45).
func TestPackumentForms(t *testing.T) {
	_, base := start(t)
	for _, path := range []string{"@es%2fx", "@es%2Fx", "@es/x", "%40es%2fx"} {
		resp, body := do(t, "GET", base+path, nil, nil)
		full := decode(t, body)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Vary") == "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		for _, c := range []struct {
			path []string
			want any
		}{
			{[]string{"name"}, "@es/x"},
			{[]string{"dist-tags", "latest"}, "1.1.0"},
			{[]string{"time", "1.1.0"}, "2026-01-02T03:04:05.678Z"},
			{[]string{"time", "created"}, "2026-01-02T02:04:05.678Z"},
			{[]string{"versions", "1.1.0", "name"}, "@es/x"},
			{[]string{"versions", "1.1.0", "dist", "tarball"}, base + "@es/x/-/x-1.1.0.tgz"},
			{[]string{"versions", "1.1.0", "dist", "integrity"}, npm.FormatIntegrity(sha512.Sum512(tarballBytes))},
			{[]string{"versions", "1.1.0", "dependencies", "lies"}, nil},
			{[]string{"versions", "1.1.0", "dependencies", "a"}, "^1"},
			{[]string{"versions", "1.1.0", "scripts", "test"}, "t"},
			{[]string{"versions", "1.1.0", "author"}, "Ann"},
			{[]string{"versions", "1.1.0", "deprecated"}, "old"},
		} {
			if got := full.at(c.path...); got != c.want {
				t.Errorf("%s: %v is %v, want %v", path, c.path, got, c.want)
			}
		}
	}
	resp, body := do(t, "GET", base+"@es%2fx", install, nil)
	short := decode(t, body)
	if resp.Header.Get("Content-Type") != "application/vnd.npm.install-v1+json" {
		t.Errorf("abbreviated: %v", resp.Header)
	}
	for _, c := range []struct {
		path []string
		want any
	}{
		{[]string{"modified"}, "2026-01-02T03:04:05.678Z"},
		{[]string{"versions", "1.1.0", "hasInstallScript"}, true},
		{[]string{"versions", "1.1.0", "bin", "x"}, "cli.js"},
		{[]string{"versions", "1.1.0", "peerDependenciesMeta", "p", "optional"}, true},
		{[]string{"versions", "1.1.0", "description"}, nil},
		{[]string{"versions", "1.1.0", "scripts"}, nil},
		{[]string{"versions", "1.0.0", "dist", "fileCount"}, 0.0},
	} {
		if got := short.at(c.path...); got != c.want {
			t.Errorf("abbreviated: %v is %v, want %v", c.path, got, c.want)
		}
	}
	// npm alone has the registry's own URL, for its lockfiles.
	_, body = do(t, "GET", base+"npm/@es%2fx", install, nil)
	if got := decode(t, body).at("versions", "1.1.0", "dist", "tarball"); got != "https://r.example/@es/x/-/x-1.1.0.tgz" {
		t.Errorf("npm is told %v", got)
	}
	_, body = do(t, "GET", base+"@es%2fx/latest", nil, nil)
	if got := decode(t, body).at("version"); got != "1.1.0" {
		t.Errorf("latest is %v", got)
	}
	if resp, body := do(t, "GET", base+"@es%2fx/2.0.0", nil, nil); resp.StatusCode != 404 || !strings.Contains(body, "2.0.0") {
		t.Errorf("2.0.0: %d %s", resp.StatusCode, body)
	}
}

func TestConditional(t *testing.T) {
	s, base := start(t)
	first, _ := do(t, "GET", base+"@es%2fx", install, nil)
	full, _ := do(t, "GET", base+"@es%2fx", nil, nil)
	if first.Header.Get("ETag") == "" || first.Header.Get("ETag") == full.Header.Get("ETag") {
		t.Errorf("both forms have %q", full.Header.Get("ETag"))
	}
	if got := first.Header.Get("Last-Modified"); got != "Fri, 02 Jan 2026 03:04:06 GMT" {
		t.Errorf("Last-Modified %q", got)
	}
	made := s.made.Load()
	for _, tag := range []string{first.Header.Get("ETag"), "W/" + first.Header.Get("ETag"), `"other", ` + first.Header.Get("ETag")} {
		resp, body := do(t, "GET", base+"@es%2fx", map[string]string{"Accept": install["Accept"], "If-None-Match": tag}, nil)
		if resp.StatusCode != 304 || body != "" || resp.Header.Get("ETag") != first.Header.Get("ETag") {
			t.Errorf("%s: %d %q", tag, resp.StatusCode, body)
		}
	}
	resp, _ := do(t, "GET", base+"@es%2fx", map[string]string{"Accept": install["Accept"], "If-Modified-Since": "Fri, 02 Jan 2026 03:04:06 GMT"}, nil)
	if resp.StatusCode != 304 {
		t.Errorf("if modified since: %d", resp.StatusCode)
	}
	if s.made.Load() != made {
		t.Errorf("made the packument %d times more", s.made.Load()-made)
	}
	s.stamp = "2"
	resp, _ = do(t, "GET", base+"@es%2fx", map[string]string{"Accept": install["Accept"], "If-None-Match": first.Header.Get("ETag")}, nil)
	if resp.StatusCode != 200 || s.made.Load() != made+1 {
		t.Errorf("after a change: %d, made %d times more", resp.StatusCode, s.made.Load()-made)
	}
}

func TestTarball(t *testing.T) {
	_, base := start(t)
	for _, path := range []string{"@es/x/-/x-1.1.0.tgz", "@es%2fx/-/x-1.1.0.tgz", "npm/@es%2fx/-/x-1.1.0.tgz"} {
		resp, body := do(t, "GET", base+path, nil, nil)
		if resp.StatusCode != 200 || body != string(tarballBytes) || resp.ContentLength != int64(len(tarballBytes)) || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	resp, body := do(t, "GET", base+"@es/x/-/x-1.1.0.tgz", map[string]string{"Range": "bytes=4-8"}, nil)
	if resp.StatusCode != 206 || body != "bytes" {
		t.Errorf("a part: %d %q", resp.StatusCode, body)
	}
	for _, path := range []string{"@es/x/-/x-9.0.0.tgz", "@es/x/-/y-1.1.0.tgz", "@es/x/-/x-.tgz", "@es/x/-/x-1.1.0.zip", "@es/-/x-1.1.0.tgz"} {
		if resp, body := do(t, "GET", base+path, nil, nil); resp.StatusCode != 404 || !strings.Contains(body, `{"error":`) {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}

// TestRefusals: what policy hides says why and what to type; what fails says nothing
// of the machine.
func TestRefusals(t *testing.T) {
	_, base := start(t)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"held":                     {404, "es why held"},
		"unknown":                  {404, "es search --all unknown"},
		"broken":                   {500, "its log says why"},
		"":                         {404, "no such thing"},
		"@es":                      {404, "no such thing"},
		"-/nothing":                {404, "no such thing"},
		"-/npm/v1/keys":            {404, "no such thing"},
		"-/v1/search?size=many":    {400, "many"},
		"-/whoami":                 {401, "token"},
		"-/package/held/dist-tags": {404, "es why held"},
	} {
		resp, body := do(t, "GET", base+path, nil, nil)
		text, _ := decode(t, body).at("error").(string)
		if resp.StatusCode != want.status || !strings.Contains(text, want.text) || strings.Contains(body, "/secret") || resp.Header.Get("ETag") != "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := do(t, "DELETE", base+"@es%2fx", nil, nil); resp.StatusCode != 405 {
		t.Errorf("DELETE: %d", resp.StatusCode)
	}
	if resp, body := do(t, "HEAD", base+"held", nil, nil); resp.StatusCode != 404 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
}

// TestBrowsers: a page, also one whose name was made to lead here, gets nothing
// (SPEC Q40).
func TestBrowsers(t *testing.T) {
	_, base := start(t)
	for _, header := range []map[string]string{
		{"Host": "evil.example"},
		{"Host": "evil.example:4873"},
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Sec-Fetch-Mode": "no-cors"},
		{"Sec-Fetch-Mode": "navigate"},
	} {
		if resp, body := do(t, "GET", base+"@es%2fx", header, nil); resp.StatusCode != 403 || strings.Contains(body, "dist-tags") {
			t.Errorf("%v: %d %q", header, resp.StatusCode, body)
		}
	}
	localhost := strings.Replace(strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/"), "127.0.0.1", "localhost", 1)
	for _, header := range []map[string]string{{"Host": localhost}, {"Sec-Fetch-Mode": "cors"}} { // node's own fetch says cors
		if resp, _ := do(t, "GET", base+"@es%2fx", header, nil); resp.StatusCode != 200 {
			t.Errorf("%v: %d", header, resp.StatusCode)
		}
	}
}

func TestServices(t *testing.T) {
	_, base := start(t)
	if _, body := do(t, "GET", base+"-/ping", nil, nil); body != "{}" {
		t.Errorf("ping: %s", body)
	}
	if _, body := do(t, "GET", base+"-/whoami", map[string]string{"Authorization": "Bearer good"}, nil); body != `{"username":"ada"}` {
		t.Errorf("whoami: %s", body)
	}
	if resp, _ := do(t, "GET", base+"-/whoami", map[string]string{"Authorization": "Bearer bad"}, nil); resp.StatusCode != 401 {
		t.Errorf("a bad token: %d", resp.StatusCode)
	}
	if _, body := do(t, "GET", base+"-/package/@es%2fx/dist-tags", nil, nil); body != `{"latest":"1.1.0"}` {
		t.Errorf("tags: %s", body)
	}
	for query, want := range map[string]string{
		"?text=http+server":           "http server 0 20",
		"?text=a&size=9999&from=40":   "a 40 250",
		"?text=a&size=5&popularity=1": "a 0 5",
	} {
		_, body := do(t, "GET", base+"-/v1/search"+query, nil, nil)
		var found struct {
			Objects []struct {
				Package struct{ Name, Description string }
			}
			Total int
		}
		if err := json.Unmarshal([]byte(body), &found); err != nil || found.Total != 1 || len(found.Objects) != 1 || found.Objects[0].Package.Description != want {
			t.Errorf("%s: %s", query, body)
		}
	}
	if _, body := do(t, "GET", base+"-/v1/search?text=", nil, nil); !strings.HasPrefix(body, `{"objects":[],"total":0`) {
		t.Errorf("no text: %s", body)
	}
}

func zipped(t *testing.T, s string) io.Reader {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestAudit(t *testing.T) {
	_, base := start(t)
	const path = "-/npm/v1/security/advisories/bulk"
	gz := map[string]string{"Content-Encoding": "gzip"}
	if _, body := do(t, "POST", base+path, gz, zipped(t, `{"@es/x": ["1.1.0"]}`)); !strings.Contains(body, `"vulnerable_versions":"<2"`) {
		t.Errorf("known: %s", body)
	}
	if _, body := do(t, "POST", base+path, nil, strings.NewReader(`{"other": ["1.0.0"]}`)); body != "{}" {
		t.Errorf("nothing known: %s", body)
	}
	for name, c := range map[string]struct {
		body   io.Reader
		status int
	}{
		"not gzip": {strings.NewReader("{}"), 400},
		"cut":      {io.LimitReader(zipped(t, `{"@es/x": ["1.1.0"]}`), 20), 400},
		"a list":   {zipped(t, "[]"), 400},
		"a bomb":   {zipped(t, strings.Repeat(" ", MaxAuditBody+1)), 413},
	} {
		if resp, _ := do(t, "POST", base+path, gz, c.body); resp.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.status)
		}
	}
}

func TestPublish(t *testing.T) {
	s, base := start(t)
	data := base64.StdEncoding.EncodeToString(tarballBytes)
	publication := func(name, version string) string {
		return fmt.Sprintf(`{"_id": %q, "name": %q, "dist-tags": {"next": %q, "old": "0.1.0"}, "access": "public",
			"versions": {%q: {"name": %q, "dist": {"tarball": "http://placeholder/"}}},
			"_attachments": {"x.tgz": {"content_type": "application/octet-stream", "data": %q, "length": 22},
				"x.sigstore": {"content_type": "application/vnd.dev.sigstore.bundle+json;version=0.2", "data": "e30="}}}`,
			name, name, version, version, name, data)
	}
	token := map[string]string{"Authorization": "Bearer good"}
	put := func(header map[string]string, path, body string) (int, string) {
		resp, text := do(t, "PUT", base+path, header, strings.NewReader(body))
		return resp.StatusCode, text
	}
	if status, text := put(token, "@es%2fx", publication("@es/x", "2.0.0")); status != 200 || len(s.published) != 1 {
		t.Fatalf("%d %s", status, text)
	}
	p := s.published[0]
	if p.Name != "@es/x" || p.Version != "2.0.0" || fmt.Sprint(p.Tags) != "[next]" || !bytes.Equal(p.Tarball, tarballBytes) {
		t.Errorf("published %+v", p)
	}
	for name, c := range map[string]struct {
		header     map[string]string
		path, body string
		status     int
	}{
		"no token":        {nil, "@es%2fx", publication("@es/x", "2.0.1"), 401},
		"a version again": {token, "@es%2fx", publication("@es/x", "1.1.0"), 409},
		"another name":    {token, "@es%2fx", publication("@es/y", "2.0.1"), 400},
		"no tarball":      {token, "@es%2fx", `{"name": "@es/x", "versions": {"1.0.0": {}}}`, 400},
		"not JSON":        {token, "@es%2fx", `<html>`, 400},
		"below a package": {token, "@es%2fx/latest", publication("@es/x", "2.0.1"), 404},
	} {
		if status, text := put(c.header, c.path, c.body); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if len(s.published) != 1 {
		t.Errorf("published %d times", len(s.published))
	}
}

func TestBaseURL(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:4873", "http://127.0.0.1:4873", "http://%"} {
		if _, err := New(Config{Base: base}); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
}

// TestPrivate: what is not for everybody needs a token (SPEC N422).
func TestPrivate(t *testing.T) {
	_, base := start(t)
	for _, path := range []string{"@private%2fx", "@private/x", "npm/@private%2fx", "@private%2fx/1.0.0", "@private/x/-/x-1.0.0.tgz", "-/package/@private%2fx/dist-tags"} {
		if resp, body := do(t, "GET", base+path, nil, nil); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		if resp, body := do(t, "GET", base+path, map[string]string{"Authorization": "Bearer bad"}, nil); resp.StatusCode != 401 {
			t.Errorf("%s with another token: %d %s", path, resp.StatusCode, body)
		}
		if resp, _ := do(t, "GET", base+path, map[string]string{"Authorization": "Bearer good"}, nil); resp.StatusCode != 404 {
			t.Errorf("%s with a token: %d", path, resp.StatusCode)
		}
	}
}

// TestPassOn: what a registry says of a version is said again, but for its tarball.
func TestPassOn(t *testing.T) {
	const url = "http://127.0.0.1:1/x/-/x-1.0.0.tgz"
	said := `{"name":"x","version":"1.0.0","dependencies":[],"scripts":{"install":"a"},"dist":{"tarball":"https://r.example/x.tgz","integrity":"sha512-a","signatures":[{"keyid":"k","sig":"c"}]},"odd":{"a":1,"a":2}}`
	full, err := passOn([]byte(said), Full, url)
	if err != nil {
		t.Fatal(err)
	}
	d := decode(t, string(full))
	if d.at("dist", "tarball") != url || d.at("dist", "integrity") != "sha512-a" || d.at("odd") == nil || d.at("scripts") == nil || len(d.at("dist", "signatures").([]any)) != 1 {
		t.Errorf("full: %s", full)
	}
	short, err := passOn([]byte(said), Abbreviated, url)
	if err != nil {
		t.Fatal(err)
	}
	d = decode(t, string(short))
	if d.at("dist", "tarball") != url || d.at("hasInstallScript") != true || d.at("odd") != nil || d.at("scripts") != nil || d.at("dependencies") == nil {
		t.Errorf("abbreviated: %s", short)
	}
	for _, bad := range []string{`{}`, `[]`, `{"dist":1}`, `{"dist":null}`, ``} {
		if got, err := passOn([]byte(bad), Full, url); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestCachedDocuments: no more of them is kept than the limit.
func TestCachedDocuments(t *testing.T) {
	d := documents{max: 10}
	for i := range 8 {
		d.add(docKey{name: fmt.Sprint(i)}, &document{stamp: "1", body: make([]byte, 3)})
		d.get(docKey{name: "0"}, "1")
	}
	if d.bytes != 9 || len(d.byKey) != 3 || d.last.Len() != 3 {
		t.Errorf("%d bytes, %d documents", d.bytes, len(d.byKey))
	}
	if d.get(docKey{name: "0"}, "1") == nil || d.get(docKey{name: "7"}, "1") == nil || d.get(docKey{name: "3"}, "1") != nil || d.get(docKey{name: "0"}, "2") != nil {
		t.Error("not those that were asked for last")
	}
	d.add(docKey{name: "0"}, &document{stamp: "2", body: make([]byte, 1)})
	d.add(docKey{name: "large"}, &document{stamp: "1", body: make([]byte, 11)})
	if d.bytes != 0 || d.get(docKey{name: "large"}, "1") != nil {
		t.Errorf("%d bytes after a large one", d.bytes)
	}
}
