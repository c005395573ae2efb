package mirror

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/trust"
)

// pack makes the tarball of a package.
func pack(t testing.TB, name, version string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for path, text := range map[string]string{"package/index.js": "module.exports = '" + version + "'\n", "package/package.json": fmt.Sprintf(`{"name":%q,"version":%q,"description":"pads text"}`, name, version)} {
		if err := w.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A remote is a registry, which counts what it is asked.
type remote struct {
	*httptest.Server
	client *registry.Client

	mu        sync.Mutex
	asked     map[string]int
	files     map[string][]byte
	published map[string]time.Time // by version, of all packages
	tags      map[string]string
	down      bool
	key       *ecdsa.PrivateKey // that signs; nil for none
	expires   time.Time         // of key
	signs     map[string]string // what it signs in place of the truth, by path
	bare      bool              // it says no SHA-512
	wait      chan struct{}     // until which tarballs are held back; nil for no time
}

func newRemote(t *testing.T) *remote {
	s := &remote{asked: make(map[string]int), files: make(map[string][]byte), published: make(map[string]time.Time), client: registry.New(registry.Config{Pause: time.Nanosecond})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// sign has the registry sign with a key from now on; with nil it signs nothing.
func (s *remote) sign(key *ecdsa.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

func (s *remote) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	s.asked[path]++
	file, down, wait := s.files[path], s.down, s.wait
	s.mu.Unlock()
	switch {
	case down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case file != nil && strings.HasSuffix(path, ".tgz"):
		if wait != nil {
			<-wait
		}
		_, _ = w.Write(file)
	case !strings.HasPrefix(path, "@") && strings.Contains(path, "/"):
		w.WriteHeader(http.StatusNotFound)
	default:
		s.packument(w, r, path)
	}
}

func (s *remote) packument(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions, times := map[string]any{}, map[string]any{}
	modified := time.Time{}
	for path, b := range s.files {
		base, version, _ := strings.Cut(strings.TrimSuffix(path, ".tgz"), "/-/"+name+"-")
		if base != name {
			continue
		}
		sum, once := sha512.Sum512(b), sha1.Sum(b)
		versions[version] = map[string]any{
			"name": name, "version": version, "odd": "kept",
			"dist": map[string]any{"tarball": s.URL + "/" + path, "integrity": npm.FormatIntegrity(sum), "shasum": hex.EncodeToString(once[:]), "more": 1},
		}
		if s.key != nil {
			text := name + "@" + version + ":" + npm.FormatIntegrity(sum)
			if other, ok := s.signs[path]; ok {
				text = other
			}
			digest := sha256.Sum256([]byte(text))
			signature, _ := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
			versions[version].(map[string]any)["dist"].(map[string]any)["signatures"] = []any{map[string]any{"keyid": "K", "sig": signature}}
		}
		if s.bare {
			delete(versions[version].(map[string]any)["dist"].(map[string]any), "integrity")
		}
		times[version] = s.published[version]
		if s.published[version].After(modified) {
			modified = s.published[version]
		}
	}
	if len(versions) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	doc := map[string]any{"name": name, "versions": versions, "dist-tags": s.tags, "modified": modified}
	if !strings.Contains(r.Header.Get("Accept"), "install-v1") {
		doc["time"], doc["description"] = times, "of the registry"
		delete(doc, "modified")
	}
	b, _ := json.Marshal(doc)
	sum := sha512.Sum512(b)
	etag := fmt.Sprintf(`"%x"`, sum[:8])
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(b)
}

func (s *remote) add(t *testing.T, name, version string, published time.Time) {
	b := pack(t, name, version)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name+"/-/"+name+"-"+version+".tgz"] = b
	s.published[version] = published
	s.tags = map[string]string{"latest": version}
}

func (s *remote) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *remote) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

func (s *remote) Base(context.Context, string) (string, error) { return s.URL + "/", nil }

func (s *remote) Packument(ctx context.Context, base, name string, form registry.Form, old registry.Validators) ([]byte, registry.Validators, error) {
	return s.client.RawPackument(ctx, base, name, form, old)
}

func (s *remote) Keys(context.Context, string) ([]npm.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked["keys"]++
	if s.key == nil {
		return nil, nil
	}
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		return nil, err
	}
	key, err := npm.ParseSigningKey("K", s.expires, der)
	return []npm.SigningKey{key}, err
}

func (s *remote) Private(_ context.Context, name string) (bool, error) {
	return strings.HasPrefix(name, "private"), nil
}

func (s *remote) Tarball(ctx context.Context, url string, want *[sha512.Size]byte, limit int64, w io.Writer) (int64, [sha512.Size]byte, error) {
	return s.client.Tarball(ctx, url, want, limit, w)
}

// A place is a home with a Mirror.
type place struct {
	*Mirror
	trees  unpacked.Dir
	blocks *blocks.Store
	osv    osv.Dir
	stop   func() // Run, which keeps what was imported

	mu      sync.Mutex
	at      time.Time
	file    *trust.Policy
	refused []string
}

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func (p *place) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *place) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = p.at.Add(d)
}

func (p *place) trust(t *testing.T, text string) {
	f, err := trust.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = f
}

// newPlace makes a home in dir; from is asked for what is not there, unless it is nil.
func newPlace(t *testing.T, dir string, from *remote) *place {
	store, err := blocks.Open(filepath.Join(dir, "blocks"))
	if err != nil {
		t.Fatal(err)
	}
	p := &place{trees: unpacked.Open(filepath.Join(dir, "trees")), blocks: store, osv: osv.OpenDir(filepath.Join(dir, "advisories")), at: noon, file: &trust.Policy{}}
	cfg := Config{
		Dir: filepath.Join(dir, "packuments"), Trees: p.trees, Blocks: store, Batch: store.FileBatch(), Advisories: p.osv, Token: "secret",
		Guard: guard.New(guard.Config{Trust: func() (*trust.Policy, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.file, nil
		}, Advisories: p.osv, Now: p.now}),
		Refused: func(r *guard.Release, why *guard.Refusal) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.refused = append(p.refused, fmt.Sprint(why.Kind, " ", r))
		},
		Now: p.now, Log: slog.New(slog.DiscardHandler),
	}
	if from != nil {
		cfg.Registries = from
	}
	p.Mirror = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	p.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(p.stop)
	return p
}

func (p *place) view(t *testing.T, name string, form endpoint.Form) *endpoint.Packument {
	t.Helper()
	got, err := p.Mirror.Packument(t.Context(), name, form)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func versionsOf(p *endpoint.Packument) (all []string) {
	for i := range p.Versions {
		all = append(all, p.Versions[i].Version)
	}
	return all
}

func (p *place) tarball(t *testing.T, name, version string) []byte {
	t.Helper()
	b, err := p.read(t.Context(), name, version)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *place) read(ctx context.Context, name, version string) ([]byte, error) {
	file, err := p.Tarball(ctx, name, version)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// refusedWith returns the text of a 404.
func refusedWith(t *testing.T, err error) string {
	t.Helper()
	var refused *endpoint.RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Fatalf("error %v", err)
	}
	return refused.Text
}

// TestOnDemand has a package come from the registry, once for fifty who want it, and stay
// where the registry is gone (SPEC N423 and N424).
func TestOnDemand(t *testing.T) {
	from := newRemote(t)
	from.add(t, "left", "1.0.0", noon.Add(-1000*time.Hour))
	from.add(t, "left", "1.1.0", noon.Add(-900*time.Hour))
	from.wait = make(chan struct{})
	dir := t.TempDir()
	p := newPlace(t, dir, from)
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			if got := versionsOf(p.view(t, "left", endpoint.Abbreviated)); len(got) != 2 {
				t.Errorf("versions %q", got)
			}
			if b, err := p.read(t.Context(), "left", "1.1.0"); err != nil || len(b) == 0 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	close(from.wait)
	clients.Wait()
	if a, b := from.count("left"), from.count("left/-/left-1.1.0.tgz"); a != 1 || b != 1 {
		t.Errorf("asked %d times for the packument, %d for the tarball", a, b)
	}
	// Again after a while: what has not changed costs a 304, what has is seen.
	p.pass(2 * fresh)
	from.add(t, "left", "1.2.0", noon.Add(-800*time.Hour))
	if got := p.view(t, "left", endpoint.Abbreviated); len(got.Versions) != 3 || got.Tags["latest"] != "1.2.0" {
		t.Errorf("later: %q, %v", versionsOf(got), got.Tags)
	}
	// The registry is gone: what is here is served, and that alone.
	from.setDown(true)
	p.pass(2 * fresh)
	if got := p.view(t, "left", endpoint.Full); !slices.Equal(versionsOf(got), []string{"1.1.0"}) || got.Tags["latest"] != "1.1.0" {
		t.Errorf("without the registry: %q, %v", versionsOf(got), got.Tags)
	}
	p.tarball(t, "left", "1.1.0")
	if text := refusedWith(t, second(p.Mirror.Packument(t.Context(), "right", endpoint.Full))); !strings.Contains(text, "the registry is not reached") {
		t.Error(text)
	}
	asked := from.count("right")
	if _, err := p.Mirror.Packument(t.Context(), "right", endpoint.Full); err == nil || from.count("right") != asked {
		t.Errorf("a registry that was not reached is asked at once, %v", err)
	}
	// Another process of the home, which asks nobody.
	p.stop()
	alone := newPlace(t, dir, nil)
	if got := versionsOf(alone.view(t, "left", endpoint.Full)); !slices.Equal(got, []string{"1.1.0"}) {
		t.Errorf("alone: %q", got)
	}
	if text := refusedWith(t, second(alone.read(t.Context(), "left", "1.0.0"))); !strings.Contains(text, "es import npm left@1.0.0") {
		t.Error(text)
	}
}

func second[T any](_ T, err error) error { return err }

// TestForms: what the registry says is passed on, with its times; of what is here without
// a packument the tarball says it.
func TestForms(t *testing.T) {
	from := newRemote(t)
	from.add(t, "left", "1.0.0", noon.Add(-30*time.Minute))
	dir := t.TempDir()
	p := newPlace(t, dir, from)
	full := p.view(t, "left", endpoint.Full)
	if v := full.Versions[0]; !v.Published.Equal(noon.Add(-30*time.Minute)) || !strings.Contains(string(v.Registry), `"odd":"kept"`) || !strings.Contains(string(full.Rest), "of the registry") {
		t.Errorf("full: %v %s %s", v.Published, v.Registry, full.Rest)
	}
	// The abbreviated form says when the last change was; of a young package that is not
	// enough, and the full one is asked for.
	if v := p.view(t, "left", endpoint.Abbreviated).Versions[0]; !v.Published.Equal(noon.Add(-30 * time.Minute)) {
		t.Errorf("abbreviated: %v", v.Published)
	}
	if a, err := p.Stamp(t.Context(), "left", endpoint.Full); err != nil || a == "" {
		t.Errorf("stamp %q, %v", a, err)
	}
	p.tarball(t, "left", "1.0.0")
	found, err := p.Search(t.Context(), "pads LEFT", 0, 10)
	if err != nil || found.Total != 1 || found.Hits[0].Name != "left" {
		t.Errorf("search: %+v, %v", found, err)
	}
	if found, err := p.Search(t.Context(), "nothing", 0, 10); err != nil || found.Total != 0 {
		t.Errorf("search: %+v, %v", found, err)
	}
	if text := refusedWith(t, second(p.Mirror.Packument(t.Context(), "none", endpoint.Full))); !strings.Contains(text, "the registry has no package none") {
		t.Error(text)
	}
	if text := refusedWith(t, second(p.read(t.Context(), "left", "9.0.0"))); !strings.Contains(text, "there is no left@9.0.0") {
		t.Error(text)
	}
	for _, name := range []string{"..", "a/b/c", ".bin", "@x"} {
		refusedWith(t, second(p.Mirror.Packument(t.Context(), name, endpoint.Full)))
	}
	if private, err := p.Private(t.Context(), "private-x"); err != nil || !private {
		t.Errorf("private: %t, %v", private, err)
	}
	if user, err := p.User(t.Context(), "secret"); err != nil || user == "" {
		t.Errorf("token: %q, %v", user, err)
	}
	if user, err := p.User(t.Context(), "other"); err != nil || user != "" {
		t.Errorf("other token: %q, %v", user, err)
	}
}

// TestGuarded: what the trust file and advisories refuse is no version for a client, and
// tags lead to what is let through (SPEC Q73).
func TestGuarded(t *testing.T) {
	from := newRemote(t)
	from.add(t, "left", "1.0.0", noon.Add(-1000*time.Hour))
	from.add(t, "left", "1.1.0", noon.Add(-time.Hour))
	p := newPlace(t, t.TempDir(), from)
	p.trust(t, "min-age 1d\n")
	got := p.view(t, "left", endpoint.Full)
	if !slices.Equal(versionsOf(got), []string{"1.0.0"}) || got.Tags["latest"] != "1.0.0" {
		t.Errorf("min-age: %q, %v", versionsOf(got), got.Tags)
	}
	if text := refusedWith(t, second(p.read(t.Context(), "left", "1.1.0"))); !strings.Contains(text, "left@1.1.0 is not let through (min-age)") || !strings.Contains(text, "es trust pin") {
		t.Error(text)
	}
	if from.count("left/-/left-1.1.0.tgz") != 0 {
		t.Error("what is refused was fetched")
	}
	if !slices.Equal(p.refused, []string{"min-age left@1.1.0"}) {
		t.Errorf("told of %q", p.refused)
	}
	// It becomes old enough by itself.
	before, err := p.Stamp(t.Context(), "left", endpoint.Full)
	if err != nil {
		t.Fatal(err)
	}
	p.pass(24 * time.Hour)
	if after, err := p.Stamp(t.Context(), "left", endpoint.Full); err != nil || after == before {
		t.Errorf("the stamp stays, %v", err)
	}
	if got := versionsOf(p.view(t, "left", endpoint.Full)); len(got) != 2 {
		t.Errorf("a day later: %q", got)
	}
	p.tarball(t, "left", "1.1.0")
	// An advisory that comes counts at once, for what is here too.
	malware, err := osv.Parse([]byte(`{"id":"MAL-1","affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1.1.0"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.osv.Put([]*osv.Advisory{malware}); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(p.view(t, "left", endpoint.Full)); !slices.Equal(got, []string{"1.0.0"}) {
		t.Errorf("malware: %q", got)
	}
	refusedWith(t, second(p.read(t.Context(), "left", "1.1.0")))
	advisories, err := p.Mirror.Advisories(t.Context(), map[string][]string{"left": {"1.1.0"}, "right": {"1.0.0"}, "odd": {"not a version"}})
	if a := advisories["left"]; err != nil || len(advisories) != 1 || len(a) != 1 || a[0].Severity != "critical" || a[0].Vulnerable != "1.1.0" {
		t.Errorf("audit: %+v, %v", advisories, err)
	}
	// The user's own word is above it; another module than the one pinned is refused once
	// it is known.
	other := "bafybeicn3pjjtfzvhrdkkzxyvvaxq5uhqc4kdyhnnvzfkpdcbjdv3xhdru"
	p.trust(t, "pin left 1.1.0 "+p.module(t, "left", "1.1.0")+"\npin left 1.0.0 "+other+"\n")
	p.tarball(t, "left", "1.1.0")
	if text := refusedWith(t, second(p.read(t.Context(), "left", "1.0.0"))); !strings.Contains(text, "pins "+other) {
		t.Error(text)
	}
}

func (p *place) module(t *testing.T, name, version string) string {
	t.Helper()
	here, err := p.Mirror.trees.of(name)
	if err != nil {
		t.Fatal(err)
	}
	for v, tree := range here {
		if string(v) == version {
			return tree.Module.String()
		}
	}
	t.Fatalf("%s@%s is not here", name, version)
	return ""
}

// TestOtherBytes: a tarball with another hash than the packument says is no tarball.
func TestOtherBytes(t *testing.T) {
	from := newRemote(t)
	from.add(t, "left", "1.0.0", noon.Add(-1000*time.Hour))
	p := newPlace(t, t.TempDir(), from)
	p.view(t, "left", endpoint.Abbreviated)
	from.mu.Lock()
	from.files["left/-/left-1.0.0.tgz"] = pack(t, "left", "1.0.1")
	from.mu.Unlock()
	_, err := p.read(t.Context(), "left", "1.0.0")
	var refused *endpoint.RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusBadGateway || !strings.Contains(refused.Text, "the bytes have sha512-") {
		t.Errorf("error %v", err)
	}
}

// TestSigned: a signature by the registry's key that is over something else refuses the
// release, unless the user has pinned it (SPEC Q74).
func TestSigned(t *testing.T) {
	from := newRemote(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		from.add(t, "left", version, noon.Add(-1000*time.Hour))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from.key, from.signs = key, map[string]string{"left/-/left-1.1.0.tgz": "left@1.1.0:sha512-other"}
	p := newPlace(t, t.TempDir(), from)
	p.tarball(t, "left", "1.0.0")
	if text := refusedWith(t, second(p.read(t.Context(), "left", "1.1.0"))); !strings.Contains(text, "(signature)") || !strings.Contains(text, "is wrong") {
		t.Error(text)
	}
	if from.count("left/-/left-1.1.0.tgz") != 0 || from.count("keys") != 1 || !slices.Equal(p.refused, []string{"signature left@1.1.0"}) {
		t.Errorf("asked %d and %d times, told of %q", from.count("left/-/left-1.1.0.tgz"), from.count("keys"), p.refused)
	}
	p.trust(t, "pin left 1.1.0 "+p.module(t, "left", "1.0.0")+"\n")
	if text := refusedWith(t, second(p.read(t.Context(), "left", "1.1.0"))); !strings.Contains(text, "(pin-mismatch)") {
		t.Error(text)
	}
	// A key that has ended counts for what came out before, also where the registry says
	// only that nothing came out after some time.
	from.mu.Lock()
	from.expires = noon.Add(-900 * time.Hour)
	from.mu.Unlock()
	from.add(t, "left", "1.2.0", noon.Add(-800*time.Hour))
	p.pass(2 * keysFresh)
	for _, form := range []endpoint.Form{endpoint.Abbreviated, endpoint.Full} {
		p.view(t, "left", form)
		p.tarball(t, "left", "1.0.0")
	}
	// Without keys a signature says nothing.
	from.mu.Lock()
	from.key = nil
	from.mu.Unlock()
	p.trust(t, "")
	p.pass(2 * keysFresh)
	p.tarball(t, "left", "1.1.0")
}

// TestVouched: where the trust file has a registry speak for a name, a release is let
// through only with its signature by a pinned key, whatever keys the registry names today
// (SPEC Q76).
func TestVouched(t *testing.T) {
	from := newRemote(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		from.add(t, "left", version, noon.Add(-1000*time.Hour))
	}
	pinned, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&pinned.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	line := "npm left registry=" + from.URL + "/ key=K," + base64.StdEncoding.EncodeToString(spki) + "\n"
	dir := t.TempDir()
	p := newPlace(t, dir, from)
	p.trust(t, line)
	refusedBy := func(p *place, version, why string) {
		t.Helper()
		if text := refusedWith(t, second(p.read(t.Context(), "left", version))); !strings.Contains(text, "(signature)") || !strings.Contains(text, why) {
			t.Error(text)
		}
	}
	refusedBy(p, "1.0.0", "line 1 of your trust file has "+from.URL+"/ speak for the name")
	from.sign(other)
	p.pass(2 * keysFresh)
	p.view(t, "left", endpoint.Abbreviated)
	refusedBy(p, "1.0.0", "speak for the name")
	from.sign(pinned)
	p.pass(2 * keysFresh)
	p.view(t, "left", endpoint.Abbreviated)
	p.tarball(t, "left", "1.0.0")
	if from.count("left/-/left-1.1.0.tgz") != 0 {
		t.Error("a tarball was asked for that is refused")
	}
	// What was signed when it came is kept, and checked without the registry.
	p.stop()
	offline := newPlace(t, dir, nil)
	offline.trust(t, line)
	offline.tarball(t, "left", "1.0.0")
	sum := sha256.Sum256(spki)
	offline.trust(t, line+"deny "+fmt.Sprintf("%X", sum)+"\n")
	refusedBy(offline, "1.0.0", "denies")
	offline.stop()

	// A registry that signs nothing speaks by having served the tarball to this home.
	from.sign(nil)
	p = newPlace(t, dir, from)
	p.pass(4 * keysFresh)
	p.view(t, "left", endpoint.Abbreviated)
	p.trust(t, "npm left registry="+from.URL+"/ unsigned=yes\n")
	p.tarball(t, "left", "1.1.0")
	p.stop()
	offline = newPlace(t, dir, nil)
	offline.trust(t, "npm left registry="+from.URL+"/ unsigned=yes\n")
	offline.tarball(t, "left", "1.1.0")
	offline.trust(t, "npm left registry=https://elsewhere.example/ unsigned=yes\n")
	refusedBy(offline, "1.1.0", "elsewhere.example")
}

// TestFetchedAgain: what is damaged here was vouched for, and what the registry has in its
// place now is judged anew (SPEC Q76).
func TestFetchedAgain(t *testing.T) {
	from := newRemote(t)
	from.add(t, "left", "1.0.0", noon.Add(-1000*time.Hour))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	from.sign(key)
	dir, line := t.TempDir(), "npm left registry="+from.URL+"/ key=K,"+base64.StdEncoding.EncodeToString(spki)+"\n"
	p := newPlace(t, dir, from)
	p.trust(t, line)
	p.view(t, "left", endpoint.Abbreviated)
	p.tarball(t, "left", "1.0.0")
	p.stop()
	p = newPlace(t, dir, from)
	p.trust(t, line)
	here, err := p.Mirror.trees.of("left")
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.blocks.File(t.Context(), entry(here["1.0.0"].Package))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	from.mu.Lock()
	from.files["left/-/left-1.0.0.tgz"], from.bare = pack(t, "left", "1.0.0-other"), true
	from.mu.Unlock()
	p.pass(2 * keysFresh)
	p.view(t, "left", endpoint.Abbreviated)
	asked := from.count("left/-/left-1.0.0.tgz")
	if text := refusedWith(t, second(p.read(t.Context(), "left", "1.0.0"))); !strings.Contains(text, "(signature)") {
		t.Error(text)
	}
	if from.count("left/-/left-1.0.0.tgz") != asked {
		t.Error("a tarball was asked for that is refused")
	}
}

// TestFlights: who leaves does not take what others wait for along.
func TestFlights(t *testing.T) {
	var f flights
	first, leave := context.WithCancel(t.Context())
	began, done := make(chan struct{}), make(chan error, 2)
	go func() {
		done <- f.do(first, "k", func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-began
	worked := make(chan struct{})
	go func() {
		done <- f.do(t.Context(), "k", func(context.Context) error {
			close(worked)
			return nil
		})
	}()
	leave()
	<-worked
	if a, b := <-done, <-done; !errors.Is(errors.Join(a, b), context.Canceled) || a != nil && b != nil {
		t.Errorf("%v, %v", a, b)
	}
}
