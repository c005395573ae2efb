package unpacked

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

func pack(seed string) *Package {
	return &Package{
		Name: "JSONStream", Version: "1.3.5", SHA512: sha512.Sum512([]byte(seed)), SHA1: [20]byte{1},
		Tarball: cid.MustParse("bafkreicn3pjjtfzvhrdkkzxyvvaxq5uhqc4kdyhnnvzfkpdcbjdv3xhdru"), Length: 7,
		Module: cid.MustParse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"), Size: 9, Files: 2,
		Manifest: records.Manifest{Bin: map[string]string{"x": "cli.js"}, Dependencies: map[string]string{"a": "^1"}, Scripts: true, OptionalPeers: []string{"p"}},
		Entries: []Entry{
			{"cli.js", 2, true, cid.MustParse("bafkreicn3pjjtfzvhrdkkzxyvvaxq5uhqc4kdyhnnvzfkpdcbjdv3xhdru")},
			{"with space.json", 7, false, cid.MustParse("bafkreicn3pjjtfzvhrdkkzxyvvaxq5uhqc4kdyhnnvzfkpdcbjdv3xhdru")},
		},
	}
}

func TestEntries(t *testing.T) {
	d := Open(t.TempDir() + "/trees")
	one, two := pack("one"), pack("two")
	if _, err := d.Get(one.SHA512); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before Put: %v", err)
	}
	if err := d.All(func(*Package) error { t.Error("an entry"); return nil }); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	for _, p := range []*Package{one, two, one} {
		if err := d.Put(p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Get(one.SHA512)
	if err != nil || !reflect.DeepEqual(got, one) {
		t.Errorf("got %+v, %v; want %+v", got, err, one)
	}
	n := 0
	if err := d.All(func(*Package) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
	for range 2 {
		if err := d.Remove(two.SHA512); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Get(two.SHA512); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	stop := errors.New("stop")
	if err := d.All(func(*Package) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit fails: %v", err)
	}
}

// TestDamage: an entry that is not what was written is as good as none.
func TestDamage(t *testing.T) {
	d := Open(t.TempDir())
	p, other := pack("one"), pack("two")
	for _, each := range []*Package{p, other} {
		if err := d.Put(each); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(d.file(p.SHA512))
	if err != nil {
		t.Fatal(err)
	}
	others, err := os.ReadFile(d.file(other.SHA512))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":         nil,
		"cut":           good[:len(good)/2],
		"another entry": others,
		"another form":  bytes.Replace(good, []byte(`"format":1`), []byte(`"format":2`), 1),
		"a field more":  bytes.Replace(good, []byte(`{"format"`), []byte(`{"more":1,"format"`), 1),
		"no files":      bytes.Replace(good, []byte(`"files":2`), []byte(`"files":0`), 1),
		"a file less":   bytes.Join(bytes.SplitAfter(good, []byte("\n"))[:2], nil),
		"another size":  bytes.Replace(good, []byte(" 7 - "), []byte(" 8 - "), 1),
		"another mode":  bytes.Replace(good, []byte(" 7 - "), []byte(" 7 + "), 1),
		"a cut line":    good[:len(good)-1],
		"not a CID":     bytes.Replace(good, []byte(`"module":"bafy`), []byte(`"module":"xafy`), 1),
		"a short hash":  bytes.Replace(good, []byte(`"sha1":"AQAA`), []byte(`"sha1":"`), 1),
	} {
		if bytes.Equal(b, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(d.file(p.SHA512), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Get(p.SHA512); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
