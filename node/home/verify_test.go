package home

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// releaseHere packs a module and signs a release of it, as es publish does.
func releaseHere(t *testing.T, h *Home, k *sign.SecretKey, name string, own bool) *modules.Module {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"package.json": `{"name":"` + name + `","version":"1.0.0"}`, "index.js": "module.exports = '" + name + "'\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, err := modules.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Pack(t.Context(), h.Blocks())
	if err != nil {
		t.Fatal(err)
	}
	v, err := sign.Sign(t.Context(), k, &records.Record{Author: k.Key().Fingerprint(), Time: time.Now().Unix(), Body: &records.Release{
		Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Index().Add(t.Context(), v, k.Key(), index.Source{Own: own}); err != nil {
		t.Fatal(err)
	}
	return m
}

func verifyStored(t *testing.T, h *Home) (s VerifyStats, damage []Damage) {
	t.Helper()
	s, err := Verify(t.Context(), h, func(DamageKind, int64, int64) {}, func(d Damage) { damage = append(damage, d) })
	if err != nil {
		t.Fatal(err)
	}
	return s, damage
}

func kinds(damage []Damage) []DamageKind {
	var all []DamageKind
	for _, d := range damage {
		all = append(all, d.Kind)
	}
	slices.Sort(all)
	return all
}

// What is damaged is moved out of the way, and nothing else; what was an own release is
// whole again when it is packed again, and others' modules when they are fetched.
func TestQuarantine(t *testing.T) {
	h := testHome(t)
	k := newKey(t, h)
	mine, theirs := releaseHere(t, h, k, "mine", true), releaseHere(t, h, k, "theirs", false)
	if s, damage := verifyStored(t, h); len(damage) > 0 || s.Keys != 1 || s.Records != 2 || s.Blocks != 6 || s.Modules != 2 || s.Incomplete != 0 {
		t.Fatalf("%+v, damage %+v", s, damage)
	}
	spoil := func(m *modules.Module) {
		t.Helper()
		tree, err := unixfs.Inspect(t.Context(), h.Blocks(), records.Unbounded(m.CID))
		if err != nil {
			t.Fatal(err)
		}
		path, _ := h.Blocks().Path(tree.Files[0].CID)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(mine)
	spoil(theirs)
	stray := filepath.Join(h.Dir(), "blocks", "AA", "readme.txt")
	if err := os.MkdirAll(filepath.Dir(stray), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stray, []byte("what is this?"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, damage := verifyStored(t, h)
	if got := kinds(damage); !slices.Equal(got, []DamageKind{DamagedBlock, DamagedBlock, DamagedBlock}) {
		t.Fatalf("damage %+v", damage)
	}
	for range 2 { // the second time there is nothing left to do
		if _, err := h.Quarantine(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	aside, err := os.ReadDir(h.QuarantineDir())
	if err != nil || len(aside) != 3 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	s, damage := verifyStored(t, h)
	if got := kinds(damage); !slices.Equal(got, []DamageKind{DamagedModule}) || damage[0].ID != mine.CID.String() || damage[0].Repairable() || s.Incomplete != 1 {
		t.Errorf("%+v, damage %+v", s, damage)
	}
	if whole, err := h.Blocks().Complete(t.Context(), theirs.CID); whole || err != nil {
		t.Errorf("the other's module is whole: %t, %v", whole, err)
	}
	releaseHere(t, h, k, "mine", true)
	if _, damage := verifyStored(t, h); len(damage) > 0 {
		t.Errorf("after it was packed again: %+v", damage)
	}
}
