package records

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// TestEncodeRefuses gives Encode records that no bytes hold: it must refuse them
// just as Decode would.
func TestEncodeRefuses(t *testing.T) {
	author, err := FingerprintFromBytes(alice)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(b Body) *Record { return &Record{Author: author, Body: b} }
	for name, r := range map[string]*Record{
		"nothing":           {},
		"no body":           {Author: author},
		"no author":         {Body: &Heartbeat{Next: 1}},
		"undefined link":    {Author: author, Seq: 1, Prev: []cid.Cid{cid.Undef}, Body: &Heartbeat{Next: 1}},
		"empty release":     whole(&Release{}),
		"undefined module":  whole(&Release{Name: "a", Version: "1.0.0", Files: 1}),
		"undefined pin":     whole(&Release{Name: "a", Version: "1.0.0", Files: 1, Module: moduleA, Pins: map[Name]cid.Cid{"b": cid.Undef}}),
		"empty origin":      whole(&Release{Name: "a", Version: "1.0.0", Files: 1, Module: moduleA, Origin: &Origin{}}),
		"undefined tarball": whole(&Release{Name: "a", Version: "1.0.0", Files: 1, Module: moduleA, Origin: &Origin{Registry: "npm", SHA512: make([]byte, 64)}}),
		"empty tag":         whole(&Tag{}),
		"empty notice":      whole(&Notice{}),
		"empty endorse":     whole(&Endorse{}),
		"endorse nothing":   whole(&Endorse{Name: "a", Version: "1.0.0", Claim: Reviewed}),
		"empty delegate":    whole(&Delegate{}),
		"empty successor":   whole(&Successor{}),
		"empty heartbeat":   whole(&Heartbeat{}),
		"513 dependencies":  whole(manyDependencies(513)),
		"257 keywords":      whole(&Release{Name: "a", Version: "1.0.0", Files: 1, Module: moduleA, Manifest: Manifest{Keywords: strings.Split(strings.Repeat("k ", 256)+"k", " ")}}),
		"16 KiB":            whole(manyDependencies(512)),
	} {
		b, err := Encode(r)
		var fe *FormatError
		if !errors.As(err, &fe) || b != nil {
			t.Errorf("%s: encodes to %x, %v", name, b, err)
		}
	}
}

func manyDependencies(n int) *Release {
	deps := map[string]string{}
	for i := range n {
		deps[fmt.Sprintf("dependency-%04d", i)] = "^1.0.0 || ^2.0.0 || ^3.0.0"
	}
	return &Release{Name: "a", Version: "1.0.0", Files: 1, Module: moduleA, Manifest: Manifest{Dependencies: deps}}
}

// TestMutants flips, cuts and inserts bytes: whatever is still accepted must be
// the one encoding of what it says.
func TestMutants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	accepted, total := 0, 0
	for _, v := range readVectors(t, "records") {
		if _, ok := v.file("record.cbor.hex"); !ok || v.expect != "ok" {
			continue
		}
		good := v.hex(t, "record.cbor.hex")
		for range 1000 {
			b := mutate(rng, good)
			total++
			r, err := Decode(b)
			if err != nil {
				continue
			}
			accepted++
			again, err := Encode(r)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x is accepted and encodes to %x, %v", b, again, err)
			}
		}
	}
	if total < 10_000 || accepted == 0 || accepted == total {
		t.Errorf("accepted %d of %d mutants", accepted, total)
	}
}

func mutate(rng *rand.Rand, good []byte) []byte {
	b := bytes.Clone(good)
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(b))
		switch rng.IntN(4) {
		case 0:
			b[i] ^= 1 << rng.IntN(8)
		case 1:
			b[i] = byte(rng.Uint32())
		case 2:
			b = append(b[:i], b[i+1:]...)
		default:
			b = append(b[:i], append([]byte{byte(rng.Uint32())}, b[i:]...)...)
		}
	}
	return b
}

// bombs are inputs of the greatest size that try to make decoding expensive.
func bombs() map[string][]byte {
	fill := func(unit string) string { return strings.Repeat(unit, MaxRecord/len(unit)+1)[:MaxRecord] }
	inMap := func(value string) []byte { return []byte(("\xa1\x62es" + value + fill("\x00"))[:MaxRecord]) }
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, MaxRecord)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return map[string][]byte{
		"nested lists":      []byte(fill("\x81")),
		"nested maps":       []byte(fill("\xa1\x60")),
		"tags":              []byte(fill("\xd8\x2a")),
		"empty maps":        []byte(("\x99\x3f\xfd" + fill("\xa0"))[:MaxRecord]),
		"empty lists":       []byte(("\x99\x3f\xfd" + fill("\x80"))[:MaxRecord]),
		"wide and shallow":  []byte(("\x98\xff" + fill("\x98\x3f"+strings.Repeat("\xa0", 63)))[:MaxRecord]),
		"claimed map":       inMap("\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"claimed list":      inMap("\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"claimed string":    inMap("\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"claimed bytes":     inMap("\x5b\x00\x00\x00\x00\x7f\xff\xff\xff"),
		"indefinite":        []byte(fill("\x9f")),
		"numbers":           []byte(("\x98\x1f" + strings.Repeat("\x99\x01\x00"+strings.Repeat("\x01", 256), 31) + fill("\x00"))[:MaxRecord]),
		"short keys":        shortKeys(),
		"noise":             noise,
		"greatest record":   appendTree(nil, ofSize(MaxRecord)),
		"unsorted greatest": unsortedGreatest(),
	}
}

// shortKeys is the densest thing that passes scan: maps of 512 two-byte keys.
func shortKeys() []byte {
	tree := fields{}
	for m := range 7 {
		inner := fields{}
		for i := range 512 {
			inner[string([]byte{byte('A' + i%32), byte('A' + i/32)})] = 0
		}
		tree[string(rune('a'+m))] = inner
	}
	return appendTree(nil, tree)
}

// unsortedGreatest is refused only at the very end, when it is encoded again.
func unsortedGreatest() []byte {
	r := ofSize(MaxRecord)
	return appendTree(nil, inOrder(r, "seq", "es", "body", "prev", "time", "author"))
}

// mayAllocate bounds what one bomb may make the decoder allocate, in bytes.
func mayAllocate(bomb string) uint64 {
	switch bomb {
	case "short keys":
		return 2 << 20 // nothing is wrong with it but the fields' names
	case "greatest record", "unsorted greatest":
		return 256 << 10
	}
	return 16 << 10 // refused by scan
}

func TestBombsAllocateLittle(t *testing.T) {
	for name, b := range bombs() {
		if len(b) > MaxRecord || len(b) < MaxRecord*3/4 {
			t.Errorf("%s has %d bytes", name, len(b))
		}
		var before, after runtime.MemStats
		const runs = 8
		runtime.ReadMemStats(&before)
		for range runs {
			_, err := Decode(b)
			if (err == nil) != (name == "greatest record") {
				t.Errorf("%s: %v", name, err)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > mayAllocate(name) {
			t.Errorf("%s: %d bytes allocated for an input of %d", name, each, len(b))
		}
	}
}

func BenchmarkDecodeBomb(b *testing.B) {
	for name, bomb := range bombs() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decode(bomb)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, tree := range map[string]fields{"small": release(), "full": full()} {
		record := appendTree(nil, tree)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	name, version := "@acme/left-pad", "1.2.3-rc.1"
	if n := testing.AllocsPerRun(100, func() { ParseName(name); ParseVersion(version) }); n != 0 {
		t.Errorf("parsing a valid name and version allocates %v times", n)
	}
}

func TestContext(t *testing.T) { // SPEC R41
	seen := map[string]bool{}
	for _, b := range []Body{&Release{}, &Tag{}, &Notice{}, &Endorse{}, &Delegate{}, &Successor{}, &Heartbeat{}} {
		c := Context(b)
		if c != "es/1/"+b.Kind() || seen[c] {
			t.Errorf("context of %T is %q", b, c)
		}
		seen[c] = true
		if bodyReaders[b.Kind()] == nil {
			t.Errorf("%T has no reader", b)
		}
	}
	if len(seen) != len(bodyReaders) {
		t.Errorf("%d kinds are tested, %d can be read", len(seen), len(bodyReaders))
	}
}
