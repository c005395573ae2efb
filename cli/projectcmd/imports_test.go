package projectcmd

import (
	"archive/tar"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A registryDesk is a registry's key, and what it signs.
type registryDesk struct {
	*testing.T
	key, other *ecdsa.PrivateKey
	ends       time.Time
}

func newRegistryDesk(t *testing.T) *registryDesk {
	d := &registryDesk{T: t, ends: time.Date(2025, 1, 29, 0, 0, 0, 0, time.UTC)}
	for _, k := range []**ecdsa.PrivateKey{&d.key, &d.other} {
		var err error
		if *k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// line is what a trust file says of the registry.
func (d *registryDesk) line(scope string) string {
	der, err := x509.MarshalPKIXPublicKey(d.key.Public())
	if err != nil {
		d.Fatal(err)
	}
	return fmt.Sprintf("npm %s registry=https://registry.example/ key=SHA256:one,%s,%s\n", scope, base64.StdEncoding.EncodeToString(der), d.ends.Format(time.RFC3339))
}

func (d *registryDesk) signs(key *ecdsa.PrivateKey, name string, version records.Version, hash [sha512.Size]byte) records.OriginSignature {
	digest := sha256.Sum256([]byte(name + "@" + string(version) + ":" + npm.FormatIntegrity(hash)))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		d.Fatal(err)
	}
	return records.OriginSignature{KeyID: "SHA256:one", Signature: sig}
}

// tgz is a tarball of files, each a path and its text.
func (d *registryDesk) tgz(files ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: "package/" + files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))})
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			d.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		d.Fatal(err)
	}
	return b.Bytes()
}

// keeps stores a file, as a peer that sent it.
func (o *office) keeps(b []byte) cid.Cid {
	o.Helper()
	w := unixfs.NewFileWriter(o.home.Blocks())
	if _, err := w.Writer(o.Context()).Write(b); err != nil {
		o.Fatal(err)
	}
	c, err := w.Finish(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	return c
}

// imports returns what an honest importer says of a tarball.
func (d *registryDesk) imports(o *office, name records.Name, version records.Version, tgz []byte) *records.Release {
	d.Helper()
	hash := sha512.Sum512(tgz)
	r := &records.Release{Name: name, Version: version, Origin: &records.Origin{
		Registry: "https://registry.example/", Tarball: o.keeps(tgz), SHA512: hash[:], Published: d.ends.Add(-time.Hour).Unix(),
		Signatures: []records.OriginSignature{d.signs(d.key, string(name), version, hash)},
	}}
	p, err := importer.Check(d.Context(), o.home.Blocks(), o.home.Blocks().FileBatch(), o.home.Trees(), r)
	if err != nil {
		d.Fatal(err)
	}
	if err := o.home.Trees().Remove(hash); err != nil { // nobody unpacked it here yet
		d.Fatal(err)
	}
	r.Module, r.Size, r.Files, r.Manifest = p.Module, p.Size, p.Files, p.Manifest
	return r
}

func (o *office) addImports(name string) (map[cid.Cid]bool, error) {
	return o.addWith(name, func(s *session) { s.tarballs.home = o.home })
}

// lies are ways in which the record of an importer may differ from what the registry
// signed.
func (d *registryDesk) lies(o *office, honest *records.Release) map[string]func(*records.Release) {
	evil := d.tgz("package.json", `{"name": "dep", "version": "1.0.0"}`, "index.js", "steal()")
	foreign := d.imports(o, "dep", "1.0.0", evil)
	hash := [sha512.Size]byte(honest.Origin.SHA512)
	set := func(key *ecdsa.PrivateKey, name string, version records.Version, hash [sha512.Size]byte) func(*records.Release) {
		return func(r *records.Release) {
			r.Origin.Signatures = []records.OriginSignature{d.signs(key, name, version, hash)}
		}
	}
	notArchive := o.keeps([]byte("not an archive"))
	return map[string]func(*records.Release){
		"signature: none":                    func(r *records.Release) { r.Origin.Signatures = nil },
		"signature: one bit changed":         func(r *records.Release) { r.Origin.Signatures[0].Signature[20] ^= 1 },
		"signature: by another key":          set(d.other, "dep", "1.0.0", hash),
		"signature: by a key without a name": func(r *records.Release) { r.Origin.Signatures[0].KeyID = "SHA256:two" },
		"signature: over another name":       set(d.key, "dop", "1.0.0", hash),
		"signature: over another version":    set(d.key, "dep", "1.0.1", hash),
		"signature: over another integrity":  set(d.key, "dep", "1.0.0", sha512.Sum512(evil)),
		"signature: after the key's end":     func(r *records.Release) { r.Origin.Published = d.ends.Unix() },
		"tarball: another file":              func(r *records.Release) { r.Origin.Tarball = foreign.Origin.Tarball },
		"tarball: no archive":                func(r *records.Release) { r.Origin.Tarball = notArchive },
		"tarball: not to be had":             func(r *records.Release) { r.Origin.Tarball = absent() },
		"tarball: a directory":               func(r *records.Release) { r.Origin.Tarball = honest.Module },
		"tarball: all of another, as this": func(r *records.Release) {
			*r = *clone(foreign)
			r.Origin.SHA512 = honest.Origin.SHA512
			set(d.key, "dep", "1.0.0", hash)(r)
		},
		"tree: another module":                func(r *records.Release) { r.Module = foreign.Module },
		"tree: another size":                  func(r *records.Release) { r.Size++ },
		"tree: another number of files":       func(r *records.Release) { r.Files++ },
		"tree: modules pinned":                func(r *records.Release) { r.Pins = map[records.Name]cid.Cid{"x": foreign.Module} },
		"manifest: a dependency more":         func(r *records.Release) { r.Manifest.Dependencies = map[string]string{"evil": "*"} },
		"manifest: a dependency less":         func(r *records.Release) { r.Manifest.Dependencies = nil },
		"manifest: another range":             func(r *records.Release) { r.Manifest.Dependencies = map[string]string{"other": "*"} },
		"manifest: another bin":               func(r *records.Release) { r.Manifest.Bin = map[string]string{"ls": "index.js"} },
		"manifest: scripts hidden or claimed": func(r *records.Release) { r.Manifest.Scripts = !r.Manifest.Scripts },
	}
}

func absent() cid.Cid {
	c, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: 0x12, MhLength: 32}.Sum([]byte("nobody has this"))
	if err != nil {
		panic(err)
	}
	return c
}

func clone(r *records.Release) *records.Release {
	c, o := *r, *r.Origin
	o.Signatures = nil
	for _, s := range r.Origin.Signatures {
		o.Signatures = append(o.Signatures, records.OriginSignature{KeyID: s.KeyID, Signature: slices.Clone(s.Signature)})
	}
	c.Origin = &o
	return &c
}

// TestLiesOfAnImporter is that a hostile importer's record about what a registry signed is
// refused, whatever it lies about, and that the honest import beside it is used (SPEC T404
// and T405). Nobody signed the module itself: the registry's key is all that is trusted.
func TestLiesOfAnImporter(t *testing.T) {
	d := newRegistryDesk(t)
	tgz := d.tgz("package.json", `{"name": "dep", "version": "1.0.0", "dependencies": {"other": "^1.0.0"}}`, "index.js", "module.exports = 1")
	needed := d.tgz("package.json", `{"name": "other", "version": "1.0.0"}`)
	mallory, honestKey := newSecret(t, "Mallory"), newSecret(t, "Honest")
	scratch := newOffice(t, d.line("*"))
	lies := d.lies(scratch, d.imports(scratch, "dep", "1.0.0", tgz))
	if len(lies) < 20 {
		t.Fatalf("%d lies", len(lies))
	}
	for _, name := range slices.Sorted(maps.Keys(lies)) {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, d.line("*"))
			honest, other := d.imports(o, "dep", "1.0.0", tgz), d.imports(o, "other", "1.0.0", needed)
			lie := clone(honest)
			d.lies(o, honest)[name](lie)
			now := time.Now()
			o.says(mallory, now.Add(-time.Hour), now.Add(-time.Hour), lie)
			o.says(honestKey, now, now, other)
			there, err := o.addImports("dep")
			if len(there) > 0 || !isRefused(err) {
				t.Fatalf("the lie alone installs %d modules, %v", len(there), err)
			}
			o.says(honestKey, now, now, honest)
			there, err = o.addImports("dep")
			if err != nil || len(there) != 2 || !there[honest.Module] || !there[other.Module] {
				t.Errorf("beside it the honest import installs %d modules, %v", len(there), err)
			}
		})
	}
}

func isRefused(err error) bool {
	var untrusted *resolve.UntrustedError
	return errors.As(err, &untrusted) && untrusted.Decision.State == trust.Untrusted
}

func kindOf(err error) string {
	var r *ui.Refusal
	if errors.As(err, &r) {
		return r.Kind
	}
	return ""
}

// What is refused of an import is told in a fixed block, which names what is wrong.
func TestRefusedImports(t *testing.T) {
	d := newRegistryDesk(t)
	tgz := d.tgz("package.json", `{"name": "dep", "version": "1.0.0"}`)
	for what, c := range map[string]struct {
		trust string
		lie   string
		kind  string
	}{
		"nobody vouches":   {"", "", "import-unproven"},
		"forged":           {d.line("*"), "signature: one bit changed", "import-unproven"},
		"another tree":     {d.line("*"), "tree: another module", "import-differs"},
		"another tarball":  {d.line("*"), "tarball: another file", "import-differs"},
		"no tarball":       {d.line("*"), "tarball: not to be had", "import-unchecked"},
		"another manifest": {d.line("*"), "manifest: another bin", "import-differs"},
	} {
		t.Run(what, func(t *testing.T) {
			o := newOffice(t, c.trust)
			r := d.imports(o, "dep", "1.0.0", tgz)
			if c.lie != "" {
				d.lies(o, r)[c.lie](r)
			}
			o.says(newSecret(t, "Mallory"), time.Now(), time.Now(), r)
			_, err := o.addImports("dep")
			evaluator, failed := o.home.Evaluator(time.Now())
			if failed != nil {
				t.Fatal(failed)
			}
			refusal := kindOf(cli.NewExplainer(o.home, evaluator).Refused(t.Context(), err))
			if refusal != c.kind {
				t.Errorf("refused as %q, want %q: %v", refusal, c.kind, err)
			}
		})
	}
}
