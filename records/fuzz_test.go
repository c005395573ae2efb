package records

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// addSeeds gives f the bytes of every vector that has the section.
func addSeeds(f *testing.F, section string) {
	f.Helper()
	n := 0
	for _, v := range readVectors(f, "records") {
		if _, ok := v.file(section); ok {
			f.Add(v.hex(f, section))
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no vector has a section %s", section)
	}
}

// addWords gives f the inputs of every vector of dir that has the section.
func addWords(f *testing.F, dir, section string) {
	f.Helper()
	n := 0
	for _, v := range readVectors(f, dir) {
		if text, ok := v.file(section); ok {
			var words []string
			if err := json.Unmarshal(text, &words); err != nil {
				f.Fatal(err)
			}
			for _, w := range words {
				f.Add(w)
				n++
			}
		}
	}
	if n == 0 {
		f.Fatalf("no vector has a section %s", section)
	}
}

func FuzzDecode(f *testing.F) {
	addSeeds(f, "record.cbor.hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			wantFormatError(t, err)
			return
		}
		again, err := Encode(r)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		if text, ok := readable(b); !ok || !utf8.Valid(text) {
			t.Fatalf("%x holds text that is not UTF-8", b)
		}
	})
}

func FuzzDecodeEnvelope(f *testing.F) {
	addSeeds(f, "envelope.cbor.hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEnvelope(b)
		if err != nil {
			wantFormatError(t, err)
			return
		}
		again, err := EncodeEnvelope(e.RecordBytes, e.Signature)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
		r, err := Decode(e.RecordBytes)
		if err != nil {
			t.Fatalf("the record of %x alone: %v", b, err)
		}
		if encoded, err := Encode(e.Record); err != nil || !bytes.Equal(encoded, e.RecordBytes) || r.Author != e.Record.Author {
			t.Fatalf("%x holds another record than its bytes", b)
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	addSeeds(f, "frame.cbor.hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := DecodeFrame(b)
		if err != nil {
			wantFormatError(t, err)
			return
		}
		again, err := EncodeFrame(frame)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
	})
}

func wantFormatError(t *testing.T, err error) {
	t.Helper()
	if fe, ok := err.(*FormatError); !ok || fe.Rule == "" {
		t.Fatalf("error is %v (%T), not a *FormatError with a rule", err, err)
	}
}

func FuzzParseName(f *testing.F) {
	addWords(f, "names", "names.json")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if string(n) != s || len(s) > MaxName || !IsDependencyName(s) || CheckText(s, MaxName) != nil {
			t.Fatalf("%q becomes %q", s, n)
		}
		if whole := n.Base(); n.Scope() != "" && n.Scope()+"/"+whole != s || n.Scope() == "" && whole != s {
			t.Fatalf("%q has the scope %q and the base %q", s, n.Scope(), n.Base())
		}
		scope, err := ParseScope(s)
		if err != nil || !scope.Contains(n) || !Scope("*").Contains(n) {
			t.Fatalf("%q is not in the scope %q: %v", s, scope, err)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, v := range readVectors(f, "versions") {
		if text, ok := v.file("order.json"); ok {
			var rows [][3]any
			if err := json.Unmarshal(text, &rows); err != nil {
				f.Fatal(err)
			}
			for i, r := range rows {
				f.Add(r[0].(string), r[1].(string), rows[(i+1)%len(rows)][0].(string))
			}
		}
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var v [3]Version
		for i, s := range []string{a, b, c} {
			var err error
			if v[i], err = ParseVersion(s); err != nil {
				return
			}
		}
		for _, x := range v {
			for _, y := range v {
				if x.Compare(y) != -y.Compare(x) || (x.Compare(y) == 0) != (x == y) {
					t.Fatalf("%s against %s gives %d and %d", x, y, x.Compare(y), y.Compare(x))
				}
				for _, z := range v {
					if x.Compare(y) <= 0 && y.Compare(z) <= 0 && x.Compare(z) > 0 {
						t.Fatalf("%s, %s, %s are in no order", x, y, z)
					}
				}
			}
		}
	})
}

func FuzzCleanText(f *testing.F) {
	addWords(f, "names", "texts.json")
	f.Fuzz(func(t *testing.T, s string) {
		for _, max := range []int{0, 1, 7, MaxText} {
			clean := CleanText(s, max)
			if err := CheckText(clean, max); err != nil {
				t.Fatalf("%q cleaned to %d bytes is %q: %v", s, max, clean, err)
			}
			if again := CleanText(clean, max); again != clean {
				t.Fatalf("%q cleaned is %q, and cleaned again %q", s, clean, again)
			}
		}
	})
}
