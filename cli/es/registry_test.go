package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// registry DIR serves the packages in DIR as an npm registry on loopback until the
// script ends: DIR/NAME/VERSION/ has the files of a version, and DIR/NAME/VERSION.tgz.base64
// is a tarball as it is. $REGISTRY is its URL. Each call starts another one. With
// "signing" it has a key, and signs.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 || len(args) == 2 && args[1] != "signing" {
		ts.Fatalf("usage: registry DIR [signing]")
	}
	r := &fakeRegistry{dir: ts.MkAbs(args[0])}
	if len(args) == 2 {
		var err error
		r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
	}
	server := httptest.NewServer(r)
	ts.Defer(server.Close)
	ts.Setenv("REGISTRY", server.URL+"/")
	asked.Store(server.URL+"/", r)
}

// asked are the registries of this process by their URLs; scripts run at once.
var asked sync.Map

func registryOf(ts *testscript.TestScript) *fakeRegistry {
	r, ok := asked.Load(ts.Getenv("REGISTRY"))
	if !ok {
		ts.Fatalf("no registry was started")
	}
	return r.(*fakeRegistry)
}

// requests N checks how many tarballs the registry at $REGISTRY was asked for so far.
func requests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: requests N")
	}
	if got := fmt.Sprint(registryOf(ts).tarballs.Load()); got != args[0] {
		ts.Fatalf("%s tarballs were asked for, want %s", got, args[0])
	}
}

// lock FILE NAME@VERSION... writes a package-lock.json of packages at the top of
// node_modules with the integrity that DIR of the last registry gives them.
func lock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: lock FILE NAME@VERSION...")
	}
	r := registryOf(ts)
	packages := map[string]any{}
	root := map[string]string{}
	for _, arg := range args[1:] {
		i := strings.LastIndexByte(arg, '@')
		name, version := arg[:i], arg[i+1:]
		b, err := r.tarball(name, version)
		ts.Check(err)
		root[name] = version
		entry := map[string]any{"version": version, "integrity": integrity(b)}
		if text, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name), version, "package.json")); err == nil {
			var manifest struct{ Bin any }
			ts.Check(json.Unmarshal(text, &manifest))
			if manifest.Bin != nil {
				entry["bin"] = manifest.Bin
			}
		}
		packages["node_modules/"+name] = entry
	}
	packages[""] = map[string]any{"dependencies": root}
	b, err := json.MarshalIndent(map[string]any{"lockfileVersion": 3, "packages": packages}, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

func integrity(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

type fakeRegistry struct {
	dir      string
	key      *ecdsa.PrivateKey // nil when it signs nothing
	tarballs atomic.Int64
}

// keys is what the keys endpoint says.
func (r *fakeRegistry) keys() ([]byte, error) {
	if r.key == nil {
		return nil, fs.ErrNotExist
	}
	der, err := x509.MarshalPKIXPublicKey(r.key.Public())
	if err != nil {
		return nil, err
	}
	const kind = "ecdsa-sha2-nistp256"
	return json.Marshal(map[string]any{"keys": []any{map[string]any{"keyid": "SHA256:fake", "keytype": kind, "scheme": kind, "key": der, "expires": nil}}})
}

func (r *fakeRegistry) dist(name, version, url string, tarball []byte) (map[string]any, error) {
	d := map[string]any{"tarball": url, "integrity": integrity(tarball)}
	if r.key == nil {
		return d, nil
	}
	digest := sha256.Sum256([]byte(name + "@" + version + ":" + integrity(tarball)))
	sig, err := ecdsa.SignASN1(rand.Reader, r.key, digest[:])
	d["signatures"] = []any{map[string]any{"keyid": "SHA256:fake", "sig": sig}}
	return d, err
}

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, file, isTarball := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/-/")
	var b []byte
	var err error
	if req.URL.Path == "/-/npm/v1/keys" {
		b, err = r.keys()
	} else if isTarball {
		r.tarballs.Add(1)
		base := name[strings.IndexByte(name, '/')+1:]
		b, err = r.tarball(name, strings.TrimSuffix(strings.TrimPrefix(file, base+"-"), ".tgz"))
	} else {
		b, err = r.packument(name, "http://"+req.Host+"/")
	}
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"error": "not found"}`)
		return
	}
	if _, err := w.Write(b); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (r *fakeRegistry) packument(name, base string) ([]byte, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	versions := map[string]any{}
	latest := ""
	for _, e := range entries {
		version := strings.TrimSuffix(e.Name(), ".tgz.base64")
		tarball, err := r.tarball(name, version)
		if err != nil {
			return nil, err
		}
		var manifest map[string]any
		if text, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name), version, "package.json")); err == nil {
			if err := json.Unmarshal(text, &manifest); err != nil {
				return nil, err
			}
		} else {
			manifest = map[string]any{"name": name, "version": version}
		}
		file := name[strings.IndexByte(name, '/')+1:] + "-" + version + ".tgz"
		if manifest["dist"], err = r.dist(name, version, base+name+"/-/"+file, tarball); err != nil {
			return nil, err
		}
		versions[version] = manifest
		latest = version
	}
	return json.Marshal(map[string]any{"name": name, "dist-tags": map[string]string{"latest": latest}, "versions": versions})
}

// tarball packs a directory as npm does: below package/, with the modes of its files.
func (r *fakeRegistry) tarball(name, version string) ([]byte, error) {
	dir := filepath.Join(r.dir, filepath.FromSlash(name), version)
	if text, err := os.ReadFile(dir + ".tgz.base64"); err == nil {
		return base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: "package/" + filepath.ToSlash(rel), Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: int64(len(content))}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = io.Copy(w, bytes.NewReader(content))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
