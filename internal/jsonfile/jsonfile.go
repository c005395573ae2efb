// Package jsonfile reads JSON texts that are one object and says where in the
// text each member stands, so that one of them can be changed and every other
// byte kept, and so that errors name a line. It refuses what a file of a project
// must not have (SPEC.md [I5], [I7]): two members of one key, text that is not
// UTF-8, and nesting beyond MaxDepth. It writes nothing.
package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth bounds how deep objects and arrays nest.
const MaxDepth = 128

// A SyntaxError says where a file is broken.
type SyntaxError struct {
	File   string // its base name
	Line   int    // from 1
	Column int    // from 1, in bytes
	Rule   string // the tag of SPEC.md's rule, such as "I5"
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// An Object is a JSON object and its place in the text.
type Object struct {
	Start, End int // of '{', and behind '}'
	Members    []Member
}

// A Member is one key of an Object with its value.
type Member struct {
	Key                  string
	KeyStart, KeyEnd     int // with the quotes
	ValueStart, ValueEnd int
	Object               *Object // when the value is one
	Text                 *string // when the value is a string
}

// Find returns the index of the member key, or -1.
func (o *Object) Find(key string) int {
	for i := range o.Members {
		if o.Members[i].Key == key {
			return i
		}
	}
	return -1
}

// Parse reads src, which has no byte order mark. Errors are *SyntaxError, for a
// file of the name, by the rule that refuses what is no such text.
func Parse(file, rule string, src []byte) (*Object, error) {
	r := &reader{file: file, rule: rule, src: src}
	if !utf8.Valid(src) {
		return nil, r.errorf(invalidUTF8(src), "is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(src, &whole); err != nil {
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

// Errorf returns a *SyntaxError about the place of src that offset says.
func Errorf(file, rule string, src []byte, offset int, format string, args ...any) error {
	offset = min(offset, len(src))
	before := src[:offset]
	return &SyntaxError{
		File:   file,
		Line:   1 + bytes.Count(before, []byte{'\n'}),
		Column: offset - bytes.LastIndexByte(before, '\n'),
		Rule:   rule,
		Reason: fmt.Sprintf(format, args...),
	}
}

// HalfPair returns where a JSON text first has an escape such as \ud83d that is half of
// a UTF-16 surrogate pair, or -1. Readers make different things of it.
func HalfPair(src []byte) int {
	unit := func(i int) rune { // the code unit that an escape at i stands for
		if i+6 > len(src) || src[i] != '\\' || src[i+1] != 'u' {
			return -1
		}
		n, err := strconv.ParseUint(string(src[i+2:i+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	for i := 0; i < len(src); i++ {
		if src[i] != '\\' { // which stands in strings alone
			continue
		}
		switch first := unit(i); {
		case !utf16.IsSurrogate(first):
			i++ // whatever is escaped
		case utf16.DecodeRune(first, unit(i+6)) == utf8.RuneError:
			return i
		default:
			i += 11
		}
	}
	return -1
}

// Quote returns s as a JSON string, without the escapes that HTML would need.
func Quote(s string) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}))
}

// reader walks a JSON text once.
type reader struct {
	file string
	rule string
	src  []byte
	dec  *json.Decoder
}

func (r *reader) errorf(offset int, format string, args ...any) error {
	return Errorf(r.file, r.rule, r.src, offset, format, args...)
}

// object reads the rest of an object whose '{' is at start.
func (r *reader) object(start, depth int) (*Object, error) {
	if depth > MaxDepth {
		return nil, r.errorf(start, "nests more than %d deep", MaxDepth)
	}
	o := &Object{Start: start}
	seen := map[string]bool{}
	for r.dec.More() {
		m := Member{KeyStart: r.next()}
		tok, err := r.dec.Token()
		if err != nil {
			return nil, r.errorf(m.KeyStart, "%v", err)
		}
		m.Key, m.KeyEnd = tok.(string), int(r.dec.InputOffset())
		if seen[m.Key] {
			return nil, r.errorf(m.KeyStart, "has the key %q twice", clip(m.Key))
		}
		seen[m.Key] = true
		m.ValueStart = r.next()
		if err := r.value(&m, depth); err != nil {
			return nil, err
		}
		m.ValueEnd = int(r.dec.InputOffset())
		o.Members = append(o.Members, m)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.errorf(start, "%v", err)
	}
	o.End = int(r.dec.InputOffset())
	return o, nil
}

// value reads the value that starts at m.ValueStart.
func (r *reader) value(m *Member, depth int) error {
	tok, err := r.dec.Token()
	if err != nil {
		return r.errorf(m.ValueStart, "%v", err)
	}
	switch tok := tok.(type) {
	case string:
		m.Text = &tok
	case json.Delim:
		if tok == '{' {
			m.Object, err = r.object(m.ValueStart, depth+1)
			return err
		}
		return r.array(m.ValueStart, depth+1)
	}
	return nil
}

// array passes over the rest of an array whose '[' is at start.
func (r *reader) array(start, depth int) error {
	if depth > MaxDepth {
		return r.errorf(start, "nests more than %d deep", MaxDepth)
	}
	for r.dec.More() {
		m := Member{ValueStart: r.next()}
		if err := r.value(&m, depth); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

// next returns where the next token starts.
func (r *reader) next() int {
	i := int(r.dec.InputOffset())
	for i < len(r.src) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[i]) >= 0 {
		i++
	}
	return i
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

// clip shortens s for an error message.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
