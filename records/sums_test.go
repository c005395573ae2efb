package records

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

const setVectors = "../testdata/sets"

// littleEndian is a number in the fewest bytes that hold size of them.
func littleEndian(n *big.Int, size int) []byte {
	b := n.FillBytes(make([]byte, size))
	slices.Reverse(b)
	return b
}

// bigSum is the count and the sum of elements, put together without a Sum.
func bigSum(elements []Element) []byte {
	sum := new(big.Int)
	for _, e := range elements {
		h := sha3.SumSHAKE256([]byte(e), 512)
		slices.Reverse(h)
		sum.Add(sum, new(big.Int).SetBytes(h))
	}
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 4096))
	return append(littleEndian(big.NewInt(int64(len(elements))), 8), littleEndian(sum, 512)...)
}

func hexLines(b []byte) string {
	var lines strings.Builder
	for part := range slices.Chunk([]byte(hex.EncodeToString(b)), 128) {
		fmt.Fprintf(&lines, "%s\n", part)
	}
	return lines.String()
}

// setCases are sets with what stands for them on the wire.
func setCases(t *testing.T) []vector {
	four, six := testAuthor(t, 4, 0xab), testAuthor(t, 6, 0xcd)
	many := make([]Element, 300)
	for i := range many {
		many[i] = RecordElement(six, ID(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	ok := func(name, comment string, elements ...Element) vector {
		var list string
		for _, e := range elements {
			list += hex.EncodeToString([]byte(e)) + "\n"
		}
		sum := bigSum(elements)
		mark := sha256.Sum256(sum)
		return vector{name: name, expect: "ok", spec: "E1 E2 E3", comment: comment, files: []txtar.File{
			{Name: "elements.hex", Data: []byte(list)},
			{Name: "sum.hex", Data: []byte(hexLines(sum))},
			{Name: "fingerprint.hex", Data: []byte(hexLines(mark[:]))},
		}}
	}
	return []vector{
		ok("none", "no element"),
		ok("two", `key block "block" and record "record" of the v4 author AB00...00`, KeyElement(four, []byte("block")), RecordElement(four, ID([]byte("record")))),
		ok("many", "300 elements, so that the sum goes past 2^4096", many...),
	}
}

// TestSetVectors is run with -update to write the vectors.
func TestSetVectors(t *testing.T) {
	for _, v := range setCases(t) {
		t.Run(v.name, func(t *testing.T) {
			file := filepath.Join(setVectors, v.name+".txtar")
			if *update {
				if err := os.WriteFile(file, v.bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(b, v.bytes()) {
				t.Fatalf("%s is not what the generator makes (-update writes it): %v", file, err)
			}
			var s Sum
			list, _ := v.file("elements.hex")
			for _, line := range strings.Fields(string(list)) {
				raw, err := hex.DecodeString(line)
				if err != nil {
					t.Fatal(err)
				}
				e, err := ParseElement(raw)
				if err != nil {
					t.Fatal(err)
				}
				s.Add(e)
			}
			if want := v.hex(t, "sum.hex"); !bytes.Equal(s.Bytes(), want) {
				t.Errorf("sum %x, want %x", s.Bytes(), want)
			}
			f := s.Fingerprint()
			if want := v.hex(t, "fingerprint.hex"); !bytes.Equal(f[:], want) {
				t.Errorf("fingerprint %x, want %x", f, want)
			}
		})
	}
}

// TestThreat63SetHash holds what makes two sets with one sum dear (SPEC E2, E3):
// the sum has 4,096 bits, all of them filled by each element, and no bit of it is
// left out of the 32 bytes that peers compare. What the best attack known costs
// follows from the width alone.
func TestThreat63SetHash(t *testing.T) {
	author := testAuthor(t, 4, 1)
	ones, mark := make([]int, 8*sumSize), Sum{}.Fingerprint()
	const n = 256
	for i := range n {
		var s Sum
		s.Add(RecordElement(author, ID(binary.BigEndian.AppendUint32(nil, uint32(i)))))
		for bit, b := range s.Bytes()[8:] {
			for k := range 8 {
				ones[8*bit+k] += int(b >> k & 1)
			}
		}
	}
	// Of 256 fair bits fewer than 70 or more than 186 are ones once in 10^12.
	for bit, c := range ones[:4096] {
		if c < 70 || c > 186 {
			t.Errorf("bit %d of the sum is set by %d of %d elements", bit, c, n)
		}
	}
	for _, bit := range []int{0, 511, 512, 2048, 4095} {
		s := Sum{}
		s.limbs[bit/64] = 1 << (bit % 64)
		if s.Fingerprint() == mark {
			t.Errorf("bit %d of the sum is not in the fingerprint", bit)
		}
	}
	if got := 8 * len(mark); got != 256 {
		t.Errorf("peers compare %d bits", got)
	}
	// k terms cost k * 2^(width / (1 + log2 k)) hashes.
	for lgK := 1; lgK <= 512; lgK++ {
		if work := lgK + 8*8*sumLimbs/(1+lgK); work < 126 {
			t.Errorf("sets of 2^%d elements with one sum cost 2^%d hashes", lgK, work)
		}
	}
}

func BenchmarkSumAdd(b *testing.B) {
	author, err := FingerprintFromBytes(make([]byte, 20))
	if err != nil {
		b.Fatal(err)
	}
	e := RecordElement(author, ID([]byte("record")))
	var s Sum
	for b.Loop() {
		s.Add(e)
	}
}
