package records

import (
	"errors"
	"fmt"
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
		if kinds[b.Kind()].read == nil {
			t.Errorf("%T has no reader", b)
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("%d kinds are tested, %d can be read", len(seen), len(kinds))
	}
}
