package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxJSONDepth bounds how deep the files that people edit may nest.
const maxJSONDepth = 128

// A jsonObject knows where in the text its members stand, so that one of them
// can be changed and every other byte kept.
type jsonObject struct {
	start, end int // of '{', and behind '}'
	members    []jsonMember
}

type jsonMember struct {
	key                string
	keyStart, keyEnd   int
	valueStart, valEnd int
	object             *jsonObject // when the value is one
	text               *string     // when the value is a string
}

// find returns the index of the member key, or -1.
func (o *jsonObject) find(key string) int {
	for i := range o.members {
		if o.members[i].key == key {
			return i
		}
	}
	return -1
}

// jsonReader walks a JSON text once; src has no byte order mark.
type jsonReader struct {
	file string
	src  []byte
	dec  *json.Decoder
}

// parseJSONObject reads a JSON text that is one object, in which no object has
// the same key twice. Errors are *SyntaxError.
func parseJSONObject(file string, src []byte) (*jsonObject, error) {
	r := &jsonReader{file: file, src: src}
	if !utf8.Valid(src) {
		return nil, r.errorf(invalidUTF8(src), "is not UTF-8")
	}
	var any json.RawMessage
	if err := json.Unmarshal(src, &any); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, r.errorf(max(int(syntax.Offset)-1, 0), "%v", err)
		}
		return nil, r.errorf(0, "%v", err)
	}
	r.dec = json.NewDecoder(bytes.NewReader(src))
	r.dec.UseNumber()
	start := r.next()
	if tok, err := r.dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, r.errorf(start, "must be an object")
	}
	return r.object(start, 1)
}

// object reads the rest of an object whose '{' is at start.
func (r *jsonReader) object(start, depth int) (*jsonObject, error) {
	if depth > maxJSONDepth {
		return nil, r.errorf(start, "nests more than %d deep", maxJSONDepth)
	}
	o := &jsonObject{start: start}
	seen := map[string]bool{}
	for r.dec.More() {
		m := jsonMember{keyStart: r.next()}
		tok, err := r.dec.Token()
		if err != nil {
			return nil, r.errorf(m.keyStart, "%v", err)
		}
		m.key, m.keyEnd = tok.(string), int(r.dec.InputOffset())
		if seen[m.key] {
			return nil, r.errorf(m.keyStart, "has the key %q twice", clip(m.key))
		}
		seen[m.key] = true
		m.valueStart = r.next()
		if err := r.value(&m, depth); err != nil {
			return nil, err
		}
		m.valEnd = int(r.dec.InputOffset())
		o.members = append(o.members, m)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.errorf(start, "%v", err)
	}
	o.end = int(r.dec.InputOffset())
	return o, nil
}

// value reads the value that starts at m.valueStart.
func (r *jsonReader) value(m *jsonMember, depth int) error {
	tok, err := r.dec.Token()
	if err != nil {
		return r.errorf(m.valueStart, "%v", err)
	}
	switch tok := tok.(type) {
	case string:
		m.text = &tok
	case json.Delim:
		if tok == '{' {
			m.object, err = r.object(m.valueStart, depth+1)
			return err
		}
		return r.array(m.valueStart, depth+1)
	}
	return nil
}

// array passes over the rest of an array whose '[' is at start.
func (r *jsonReader) array(start, depth int) error {
	if depth > maxJSONDepth {
		return r.errorf(start, "nests more than %d deep", maxJSONDepth)
	}
	for r.dec.More() {
		m := jsonMember{valueStart: r.next()}
		if err := r.value(&m, depth); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

// next returns where the next token starts.
func (r *jsonReader) next() int {
	i := int(r.dec.InputOffset())
	for i < len(r.src) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[i]) >= 0 {
		i++
	}
	return i
}

func (r *jsonReader) errorf(offset int, format string, args ...any) error {
	offset = min(offset, len(r.src))
	before := r.src[:offset]
	return &SyntaxError{
		File:   r.file,
		Line:   1 + bytes.Count(before, []byte{'\n'}),
		Column: offset - bytes.LastIndexByte(before, '\n'),
		Reason: fmt.Sprintf(format, args...),
	}
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return 0
}

// appendJSON appends s as a JSON string without escaping what HTML would need.
func appendJSON(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil && !errors.Is(err, io.EOF) {
		panic(err) // a string always encodes
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})...)
}
