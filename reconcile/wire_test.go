package reconcile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/everythingstays/es/records"
)

var update = flag.Bool("update", false, "write the vectors that the generator makes")

const vectors = "../testdata/reconcile"

// A message is any message, decoded.
type message struct {
	request request
	entries []entry
	items   []records.Item
	end     *string
	refusal refusal
}

// decode reads a message; an answer is one to the request.
func decode(body []byte, to *request) (m message, err error) {
	switch {
	case len(body) == 0:
		err = errShort
	case to == nil:
		m.request, err = decodeRequest(body)
	case body[0] == typeRefused:
		m.refusal, err = decodeRefused(body)
	case to.kind == typeCompare:
		m.entries, err = decodeCompared(body, *to)
	case body[0] == typeEnd:
		m.end = new(string)
		*m.end, err = decodeEnd(body)
	default:
		m.items, err = decodeItems(body)
	}
	return m, err
}

func (m message) encode(to *request) []byte {
	switch {
	case to == nil:
		return m.request.encode()
	case m.refusal != 0:
		return encodeRefused(m.refusal)
	case m.end != nil:
		return encodeEnd(*m.end)
	case to.kind == typeCompare:
		b := []byte{typeCompared}
		for i, e := range m.entries {
			b = e.append(b, to.ranges[i].Range)
		}
		return b
	}
	b, last := []byte{typeItems}, ""
	for _, it := range m.items {
		b = appendItem(b, last, it)
		last = head(it.Element)
	}
	return b
}

// String is how the vectors show a message to people.
func (m message) String() string {
	var b strings.Builder
	bounds := func(r records.Range) string {
		return fmt.Sprintf("from %q to %q", hex.EncodeToString([]byte(r.From)), hex.EncodeToString([]byte(r.To)))
	}
	if m.request.kind == typeCompare {
		fmt.Fprintf(&b, "compare, at most %d parts\n", m.request.parts)
	} else if m.request.kind == typeGet {
		fmt.Fprintln(&b, "get")
	}
	for _, r := range m.request.ranges {
		fmt.Fprint(&b, "range ", bounds(r.Range))
		if m.request.kind == typeCompare {
			fmt.Fprintf(&b, " fingerprint %x", r.fingerprint)
		}
		fmt.Fprintln(&b)
	}
	for _, e := range m.entries {
		fmt.Fprintln(&b, []string{"equal", "elements", "parts"}[e.kind])
		for _, el := range e.elements {
			fmt.Fprintf(&b, "  %x\n", string(el))
		}
		for _, p := range e.parts {
			fmt.Fprintf(&b, "  %s fingerprint %x count %d\n", bounds(p.Range), p.fingerprint, p.count)
		}
	}
	for _, it := range m.items {
		fmt.Fprintf(&b, "item %x, %d bytes\n", string(it.Element), len(it.Bytes))
	}
	if m.end != nil {
		fmt.Fprintf(&b, "end %x\n", *m.end)
	}
	if m.refusal != 0 {
		fmt.Fprintln(&b, "refused:", m.refusal)
	}
	return b.String()
}

func hexLines(s string) []byte {
	var b bytes.Buffer
	for text := hex.EncodeToString([]byte(s)); text != ""; {
		n := min(len(text), 128)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return b.Bytes()
}

func (c testCase) archive() []byte {
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", c.expect, c.spec, c.comment)}
	if c.request != "" {
		a.Files = append(a.Files, txtar.File{Name: "request.hex", Data: hexLines(c.request)})
	}
	a.Files = append(a.Files, txtar.File{Name: "message.hex", Data: hexLines(c.message)})
	if m, err := c.decode(); err == nil && len(c.message) < 8<<10 {
		a.Files = append(a.Files, txtar.File{Name: "message.txt", Data: []byte(m.String())})
	}
	return txtar.Format(a)
}

func (c testCase) decode() (message, error) {
	if c.request == "" {
		return decode([]byte(c.message), nil)
	}
	q, err := decodeRequest([]byte(c.request))
	if err != nil {
		return message{}, fmt.Errorf("request: %v", err)
	}
	return decode([]byte(c.message), &q)
}

// TestVectors holds the decoder and the encoder against the vectors, and those
// against their generator.
func TestVectors(t *testing.T) {
	names := map[string]bool{}
	for _, c := range cases() {
		file := filepath.Join(vectors, c.name+".txtar")
		names[file] = true
		if *update {
			if err := os.WriteFile(file, c.archive(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := c.archive(); !bytes.Equal(got, want) {
			t.Errorf("%s is not what its generator makes:\n%s", file, got)
		}
		m, err := c.decode()
		if (err == nil) != (c.expect == "ok") {
			t.Errorf("%s: %v, want %s", c.name, err, c.expect)
			continue
		}
		if err != nil {
			if strings.HasPrefix(err.Error(), "request:") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var to *request
		if c.request != "" {
			q, _ := decodeRequest([]byte(c.request))
			to = &q
		}
		if got := m.encode(to); string(got) != c.message {
			t.Errorf("%s is encoded as %x", c.name, got)
		}
	}
	files, err := filepath.Glob(vectors + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, f := range files {
		if !names[f] {
			t.Errorf("%s has no generator", f)
		}
	}
}

// SPEC E6 and E15, by elements and items of any form.
func TestMessageLimits(t *testing.T) {
	ranges := func(n int) []byte {
		b, last := []byte{typeGet}, ""
		for i := range n {
			from := string([]byte{4, byte(i >> 8), byte(i)})
			b = appendString(b, last, from)
			last = from + "\x00"
			b = appendString(b, from, last)
		}
		return b
	}
	if q, err := decodeRequest(ranges(maxRanges)); err != nil || len(q.ranges) != maxRanges {
		t.Errorf("%d ranges: %v", maxRanges, err)
	}
	if _, err := decodeRequest(ranges(maxRanges + 1)); err == nil {
		t.Errorf("%d ranges were taken", maxRanges+1)
	}
	items := func(n int) []byte {
		b, last := []byte{typeItems}, ""
		for range n {
			it := records.Item{Element: keyBlock(author(0), 0).Element, Bytes: []byte{1}}
			b = appendItem(b, last, it)
			last = head(it.Element)
		}
		return b
	}
	if got, err := decodeItems(items(maxElements)); err != nil || len(got) != maxElements {
		t.Errorf("%d items: %v", maxElements, err)
	}
	if _, err := decodeItems(items(maxElements + 1)); err == nil {
		t.Errorf("%d items were taken", maxElements+1)
	}
	elements := func(perRange, n int) (request, []byte) {
		q := request{kind: typeCompare, parts: 16}
		b := []byte{typeCompared}
		for i := range n {
			from := records.Range{From: string([]byte{4, byte(i >> 8), byte(i)})}
			from.To = from.From + "\xff"
			q.ranges = append(q.ranges, rangeRequest{Range: from})
			e := entry{kind: entryElements}
			for j := range perRange {
				e.elements = append(e.elements, records.Element(from.From+string([]byte{byte(j)})+repeat("x", 17)+digest("\x01", 1)))
			}
			b = e.append(b, from)
		}
		return q, b
	}
	q, b := elements(50, maxElements/50)
	if _, err := decodeCompared(b, q); err != nil {
		t.Errorf("%d elements: %v", maxElements, err)
	}
	q, b = elements(51, maxElements/50)
	if _, err := decodeCompared(b, q); err == nil {
		t.Error("too many elements were taken")
	}
	for size, want := range map[int]bool{records.MaxKeyBlock: true, records.MaxKeyBlock + 1: false} {
		block := records.Item{Element: keyBlock(author(0), 0).Element, Bytes: make([]byte, size)}
		if _, err := decodeItems(appendItem([]byte{typeItems}, "", block)); (err == nil) != want {
			t.Errorf("a key block of %d bytes: %v", size, err)
		}
	}
}

// FuzzDecode looks for panics, and for messages with two encodings.
func FuzzDecode(f *testing.F) {
	for _, c := range cases() {
		f.Add([]byte(c.request), []byte(c.message))
	}
	f.Fuzz(func(t *testing.T, request, body []byte) {
		if q, err := decodeRequest(body); err == nil && !bytes.Equal(q.encode(), body) {
			t.Errorf("request %x is encoded as %x", body, q.encode())
		}
		q, err := decodeRequest(request)
		if err != nil {
			return
		}
		m, err := decode(body, &q)
		if err == nil && !bytes.Equal(m.encode(&q), body) {
			t.Errorf("answer %x is encoded as %x", body, m.encode(&q))
		}
		if err != nil && errors.Is(err, errBadRange) {
			t.Errorf("answer %x: %v", body, err)
		}
	})
}

// SPEC E9. Threat 25: no byte of an item can be changed without making it another
// element, one that nobody asked for. What is left are the signature's bytes,
// which are no part of a record and which Take verifies.
func TestThreat25Bytes(t *testing.T) {
	key, rec := keyBlock(author(0), 0), record(author(0), 1)
	signature := len(rec.Bytes) - 100
	for _, it := range []records.Item{key, rec} {
		good := appendItem([]byte{typeItems}, "", it)
		begin := len(good) - len(it.Bytes)
		for i := range good {
			b := bytes.Clone(good)
			b[i] ^= 0x01
			items, err := decodeItems(b)
			if inSignature := it.Element == rec.Element && i >= begin+signature; inSignature {
				continue
			}
			if err == nil && len(items) == 1 && items[0].Element == it.Element {
				t.Errorf("byte %d of %d can be changed", i, len(good))
			}
		}
	}
}
