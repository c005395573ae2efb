package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// A reader has a home that believes one key for everything, and an empty project.
type reader struct {
	*testing.T
	dir string
	ada *sign.SecretKey
}

func newReader(t *testing.T, born time.Time) *reader {
	t.Helper()
	t.Chdir(t.TempDir())
	ada, err := sign.NewSecretKey("Ada", "", born)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t, filepath.Join(t.TempDir(), "home"), ada}
	r.in(func(h *node.Home) error {
		return trust.Update(h.TrustPath(), func(f *trust.File) error {
			_, err := f.AddKey(trust.Entry{Fingerprint: ada.Key().Fingerprint(), Scopes: []records.Scope{"lib"}, Label: "ada"})
			return err
		})
	})
	return r
}

func (r *reader) in(f func(*node.Home) error) {
	r.Helper()
	h, err := node.OpenHome(r.Context(), r.dir)
	if err != nil {
		r.Fatal(err)
	}
	defer h.Close()
	if err := f(h); err != nil {
		r.Fatal(err)
	}
}

// module puts a module into the home and returns the release that describes it.
func (r *reader) module() *records.Release {
	r.Helper()
	var m *modules.Module
	r.in(func(h *node.Home) error {
		set, err := modules.Whole(fstest.MapFS{"package.json": {Data: []byte(`{"name": "lib", "version": "1.0.0"}`), Mode: 0o644}})
		if err != nil {
			return err
		}
		m, err = set.Pack(r.Context(), h.Blocks())
		return err
	})
	return &records.Release{Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest}
}

// hears stores what Ada signed, as it came at a time.
func (r *reader) hears(body records.Body, dated, came time.Time) {
	r.Helper()
	r.in(func(h *node.Home) error {
		key := r.ada.Key()
		v, err := sign.Sign(r.Context(), r.ada, &records.Record{Author: key.Fingerprint(), Time: dated.Unix(), Body: body})
		if err == nil {
			_, err = h.Index().Add(r.Context(), v, key, index.Source{Peer: "peer", At: came})
		}
		return err
	})
}

// es runs a command that must end with this exit code and this on standard error.
func (r *reader) es(code int, want string, args ...string) {
	r.Helper()
	var out, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &stderr, getenv: func(string) string { return "" }}
	got := a.run(r.Context(), append([]string{"--home", r.dir, "--offline"}, args...))
	text := strings.NewReplacer(r.ada.Key().Fingerprint().String(), "$ADA", r.dir, "$HOME").Replace(stderr.String())
	if got != code || text != want {
		r.Errorf("es %s: exit code %d, want %d; it says\n%s\nwant\n%s", strings.Join(args, " "), got, code, text, want)
	}
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestRefusedAsDatedBack(t *testing.T) {
	r := newReader(t, day("2026-01-01"))
	r.hears(r.module(), day("2026-02-01"), day("2026-05-01"))
	r.in(func(h *node.Home) error {
		retired, err := r.ada.Revoke(sign.Retired, "", day("2026-03-01"))
		if err == nil {
			_, _, err = h.Index().AddKey(r.Context(), retired)
		}
		return err
	})
	r.es(exitTrust, `es: DATED BACK: lib@1.0.0
    module     bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq
    dated      2026-02-01 00:00:00, by $ADA (ada, says Ada, revoked on 2026-03-01)
    key ended  2026-03-01 00:00:00
    came here  2026-05-01 00:00:00
    decides    $ADA (ada, says Ada, revoked on 2026-03-01): line 1 of the trust file for lib

    The record is dated before the key ended, and came here more than a week after
    that. It may have been on its way for so long; or somebody who has the old key
    signs with a date of the past.
    Nothing was installed.

es: hint: es info lib shows when it came and when its key ended
es: hint: es trust pin lib@1.0.0 bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq   (if you are sure that it is not dated back)
`, "add", "lib", "--yes")
}

func TestRefusedForWrongBytes(t *testing.T) {
	r := newReader(t, day("2026-01-01"))
	release := r.module()
	release.Manifest.Description = "not what package.json says"
	r.hears(release, day("2026-02-01"), day("2026-02-01"))
	r.es(exitIntegrity, `es: WRONG BYTES: lib
    because  check module bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq: its manifest's Description is "", the release says "not what package.json says"
    module   bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq
    place    node_modules/lib

    The module is not what its signed record says, or not what es-lock.json says.
    Whoever signed the record made it so, or the file was changed since.
    Nothing was installed.

es: hint: es info lib shows who signed what
es: hint: es verify checks what is stored here
`, "add", "lib", "--yes")
}
