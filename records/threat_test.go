package records

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

var fullRun = os.Getenv("ES_FULL") != ""

// TestThreat4Forms is SPEC R10: every way to write a record that is not the one way
// is refused, alone, in an envelope and in a frame; and the list has all those that
// the CBOR library takes.
func TestThreat4Forms(t *testing.T) {
	missing := map[string]bool{}
	for _, form := range []string{
		"keys-unsorted", "undefined", "float16", "float32", "tag-0", "int-below-64-bits", "utf8-value", "utf8-map-key", // a CBOR library takes them
		"key-twice", "nan", "list-indefinite", "map-indefinite", "string-indefinite", "bytes-indefinite", "trailing-byte", "int-long", "string-long", "list-long",
	} {
		missing["encoding-"+form] = true
	}
	library := 0
	for _, v := range readVectors(t, "records") {
		if !strings.HasPrefix(v.name, "encoding-") {
			continue
		}
		b := v.hex(t, "record.cbor.hex")
		delete(missing, v.name)
		if _, err := Decode(b); err == nil {
			t.Errorf("%s is accepted", v.name)
		}
		envelope := slices.Concat(envelopeHead, b, []byte(signatureKey), []byte("\x41x"))
		if _, err := DecodeEnvelope(envelope); err == nil {
			t.Errorf("%s is accepted in an envelope", v.name)
		}
		if f, err := DecodeFrame(slices.Concat([]byte("\xa2\x63key\x41k\x68envelope"), envelope)); err == nil {
			if _, err := DecodeEnvelope(f.Envelope); err == nil {
				t.Errorf("%s is accepted in a frame", v.name)
			}
		}
		plain := dagcbor.DecodeOptions{AllowLinks: true}
		if plain.Decode(basicnode.Prototype.Any.NewBuilder(), bytes.NewReader(b)) == nil {
			library++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no vector is called %s", name)
	}
	if library < 8 {
		t.Errorf("the library refuses all but %d itself: the test shows little", library)
	}
}

// TestThreat4Mutants is SPEC R10: of bytes that were flipped, cut and inserted in
// each accepted vector, whatever is still accepted is the one encoding of what it
// says, and its texts are UTF-8. FuzzDecode looks for more.
func TestThreat4Mutants(t *testing.T) {
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
			if text, ok := readable(b); !ok || !utf8.Valid(text) {
				t.Fatalf("%x holds text that is not UTF-8", b)
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
		"wide and shallow":  []byte("\x98\xfc" + strings.Repeat("\x98\x3f"+strings.Repeat("\xa0", 63), 252)),
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

// TestThreat5Bombs is SPEC R11 and R12: what a bomb of the greatest size makes the
// decoder allocate, and so how long it works, is bounded for each kind.
func TestThreat5Bombs(t *testing.T) {
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

// TestThreat5Flood decodes 5,000 bombs one after another (ES_FULL: 100,000), each
// with something changed: nothing of them stays, and never is much there at once.
// BenchmarkDecodeBombs says how long they take.
func TestThreat5Flood(t *testing.T) {
	count := 5000
	if fullRun {
		count = 100_000
	}
	flood := floodOfBombs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range count {
		Decode(flood())
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
		t.Errorf("%d bombs made the heap grow by %d bytes", count, grown)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(count); each > 512<<10 {
		t.Errorf("a bomb allocates %d bytes on average", each)
	}
}

// floodOfBombs returns the bombs in turn, changed in one byte.
func floodOfBombs() func() []byte {
	all := bombs()
	names := slices.Sorted(maps.Keys(all))
	rng := rand.New(rand.NewPCG(5, 6))
	i, buffer := 0, make([]byte, MaxRecord)
	return func() []byte {
		b := append(buffer[:0], all[names[i%len(names)]]...)
		i++
		b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
		return b
	}
}

// BenchmarkDecodeBombs gives the decoder one bomb after another; p99-us is how long
// all but one in a hundred take at most.
func BenchmarkDecodeBombs(b *testing.B) {
	flood := floodOfBombs()
	var took []time.Duration
	for b.Loop() {
		bomb := flood()
		start := time.Now()
		Decode(bomb)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-us")
	b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1000, "max-us")
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
