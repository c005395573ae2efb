package records

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func testAuthor(t *testing.T, version int, first byte) Fingerprint {
	t.Helper()
	size := 20
	if version == 6 {
		size = 32
	}
	f, err := FingerprintFromBytes(append([]byte{first}, make([]byte, size-1)...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// SPEC E1. What an element consists of, and how elements are ordered.
func TestElement(t *testing.T) {
	four, six := testAuthor(t, 4, 0xff), testAuthor(t, 6, 0x01)
	id := ID([]byte("a record"))
	key, record := KeyElement(four, []byte("a block")), RecordElement(four, id)
	want := "04ff" + strings.Repeat("00", 19) + "01" + hex.EncodeToString(id.Hash()[2:])
	if got := hex.EncodeToString([]byte(record)); got != want {
		t.Errorf("element of a record: %s, want %s", got, want)
	}
	if record.Record() != id || record.Author() != four || record.Kind() != ElementRecord || !bytes.Equal(record.Digest(), id.Hash()[2:]) {
		t.Errorf("parts of %x", record)
	}
	if key.Record().Defined() || key.Author() != four || key.Kind() != ElementKey {
		t.Errorf("parts of %x", key)
	}
	other := RecordElement(six, id)
	if len(other) != MaxElement || other.Author() != six {
		t.Errorf("element of a v6 author: %x", other)
	}
	if !(key < record && record < other) {
		t.Error("the key block is not before the records, or v4 not before v6")
	}
	for _, e := range []Element{key, record, other} {
		if got, err := ParseElement([]byte(e)); err != nil || got != e {
			t.Errorf("parse %x: %x, %v", e, got, err)
		}
		r := AuthorRange(e.Author())
		if !r.Contains(e) || !ElementRange(e).Contains(e) || !(Range{}).Contains(e) {
			t.Errorf("%x is not in its ranges", e)
		}
		if (Range{From: r.To}).Contains(e) || (Range{To: r.From}).Contains(e) || ElementRange(e).Contains(e+"\x00") {
			t.Errorf("%x is in a range beside it", e)
		}
	}
}

// SPEC E1
func TestParseElementRefuses(t *testing.T) {
	good := RecordElement(testAuthor(t, 4, 1), ID(nil))
	for _, bad := range []Element{"", "\x04", good[:len(good)-1], good + "\x00", "\x05" + good[1:], "\x06" + good[1:], good[:21] + "\x02" + good[22:]} {
		if e, err := ParseElement([]byte(bad)); err == nil {
			t.Errorf("%x is taken for %x", bad, e)
		}
	}
}

// SPEC E2 and E3. Sums do not depend on order, and removing is the inverse of adding.
func TestSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []Element
	for i := range 500 {
		all = append(all, RecordElement(testAuthor(t, 4+2*(i%2), byte(i)), ID([]byte{byte(i), byte(i >> 8)})))
	}
	var whole, first, second Sum
	for i, e := range all {
		whole.Add(e)
		if i < 200 {
			first.Add(e)
		} else {
			second.Add(e)
		}
	}
	again := first
	again.AddSum(second)
	if again != whole || whole.Count != 500 {
		t.Error("the sum of two halves is not that of the whole")
	}
	for range 20 {
		shuffled := slices.Clone(all)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		var s Sum
		for _, e := range shuffled {
			s.Add(e)
		}
		if s != whole || s.Fingerprint() != whole.Fingerprint() {
			t.Fatal("the order matters")
		}
		s.RemoveSum(second)
		for _, e := range all[:199] {
			s.Remove(e)
		}
		var one Sum
		one.Add(all[199])
		if s != one {
			t.Fatal("removing is not the inverse of adding")
		}
	}
	if got, err := ParseSum(whole.Bytes()); err != nil || got != whole {
		t.Errorf("parse: %v", err)
	}
	if _, err := ParseSum(whole.Bytes()[1:]); err == nil {
		t.Error("a short sum is taken")
	}
	seen := map[RangeFingerprint]bool{}
	for _, s := range []Sum{{}, {Count: 1}, whole, first, second} {
		seen[s.Fingerprint()] = true
	}
	if len(seen) != 5 {
		t.Error("different sums have one fingerprint")
	}
}

// SPEC E2 and E3. The numbers for one author's key block and record.
func TestSumVector(t *testing.T) {
	author := testAuthor(t, 4, 0xab)
	var s Sum
	s.Add(KeyElement(author, []byte("block")))
	s.Add(RecordElement(author, ID([]byte("record"))))
	f := s.Fingerprint()
	if got, want := hex.EncodeToString(f[:]), "cc782098ff8a2dc51c368e08e575f1baabfedee89015f971fc86e62e80112d1a"; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}
