package interop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loopbackRegistry is where the registry of a test listens, in a namespace of its own.
const loopbackRegistry = "127.0.0.1:4999"

func init() { roles["registry"] = registryMain }

// registryMain serves the packuments and tarballs in a directory, as an npm registry has
// them, until it is killed. Its name comes on standard input.
func registryMain() error {
	name, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	dir := string(name)
	l, err := net.Listen("tcp", loopbackRegistry)
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, tarball, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/-/")
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "+")+".json")
		if ok {
			file = filepath.Join(dir, filepath.Base(tarball))
		}
		b, err := os.ReadFile(file)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"not found"}`)
			return
		}
		if !ok {
			w.Header().Set("Content-Type", "application/json")
		}
		_, _ = w.Write(b)
	}))
}

// registryOf makes what registryMain serves of real packages, each published long ago but
// for those in young.
func registryOf(t *testing.T, young string, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	type packument struct {
		Name     string            `json:"name"`
		Tags     map[string]string `json:"dist-tags"`
		Time     map[string]string `json:"time"`
		Versions map[string]any    `json:"versions"`
	}
	all := make(map[string]*packument)
	for _, p := range packages {
		i := strings.LastIndexByte(p, '@')
		name, version := p[:i], p[i+1:]
		b, err := os.ReadFile(fetch(t, name, version))
		if err != nil {
			t.Fatal(err)
		}
		file := name[strings.IndexByte(name, '/')+1:] + "-" + version + ".tgz"
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o644); err != nil {
			t.Fatal(err)
		}
		manifest := packageJSON(t, b)
		sum := sha512.Sum512(b)
		manifest["dist"] = map[string]any{
			"tarball":   "http://" + loopbackRegistry + "/" + name + "/-/" + file,
			"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), "shasum": fmt.Sprintf("%x", sha1.Sum(b)),
		}
		doc := all[name]
		if doc == nil {
			doc = &packument{Name: name, Tags: map[string]string{}, Time: map[string]string{}, Versions: map[string]any{}}
			all[name] = doc
		}
		at := "2020-01-02T03:04:05.678Z"
		if p == young {
			at = time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04:05.000Z")
		}
		doc.Versions[version], doc.Tags["latest"] = manifest, version
		doc.Time[version], doc.Time["modified"], doc.Time["created"] = at, at, "2020-01-02T03:04:05.678Z"
	}
	for name, doc := range all {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "+")+".json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// packageJSON reads the package.json of a tarball.
func packageJSON(t *testing.T, tarball []byte) map[string]any {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("a tarball without package.json")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, name, _ := strings.Cut(h.Name, "/"); name != "package.json" {
			continue
		}
		var m map[string]any
		if err := json.NewDecoder(r).Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// serveRegistry runs registryMain in a namespace; stop ends it.
func serveRegistry(t *testing.T, netns, dir string) (stop func()) {
	t.Helper()
	cmd := reexec(t, netns, "", "registry")
	cmd.Stdin = strings.NewReader(dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	eventually(t, 20*time.Second, "the registry listens", func() bool {
		return run(t, "/", nil, "ip", "netns", "exec", netns, "sh", "-c", "node -e 'require(\"net\").connect(4999,\"127.0.0.1\").on(\"connect\",()=>process.exit(0)).on(\"error\",()=>process.exit(1))'").code == 0
	})
	return stop
}
