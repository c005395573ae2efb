// Package packagejson reads what a project's package.json asks es for, and edits
// nothing else in it: the object esDependencies, whose entries are names with specs (a
// version, a range, a tag, a CID or an alias).
//
// It implements SPEC.md section 11.1, whose rules are tagged [I1] to [I5] and [I121].
// The fields of a module's own package.json are package modules' business.
package packagejson

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

const (
	Name    = "package.json" // of the file, in the directory of the project
	MaxSize = 1 << 20        // bytes of it (SPEC.md [I5])
)

const esField = "esDependencies"

// A Dependency is one entry of esDependencies.
type Dependency struct {
	Name records.Name
	Spec Spec
}

// A File is the text of a package.json. Edits change esDependencies and keep every
// other byte.
type File struct {
	bom  []byte
	text []byte // without the byte order mark
	root *jsonfile.Object
	deps []Dependency
}

// empty is what edits of an absent package.json start from.
const empty = "{}\n"

// Read reads the package.json of the project at dir. found is false, and the file an
// empty object, when there is none.
func Read(dir string) (f *File, found bool, err error) {
	b, err := regularfile.Read(filepath.Join(dir, Name), MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = Parse([]byte(empty))
		return f, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("read package.json: %w", err)
	}
	f, err = Parse(b)
	return f, true, err
}

// Parse reads a package.json. What [I5] refuses, and an entry of esDependencies that
// is none, are *jsonfile.SyntaxError.
func Parse(b []byte) (*File, error) {
	if len(b) > MaxSize {
		return nil, &jsonfile.SyntaxError{File: Name, Line: 1, Column: 1, Rule: "I5", Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(b), MaxSize)}
	}
	f := &File{}
	f.bom, f.text = regularfile.CutBOM(b)
	return f, f.parse()
}

func (f *File) parse() (err error) {
	if f.root, err = jsonfile.Parse(Name, "I5", f.text); err != nil {
		return err
	}
	f.deps, err = f.dependencies()
	return err
}

// Bytes returns the file.
func (f *File) Bytes() []byte { return slices.Concat(f.bom, f.text) }

// Dependencies returns esDependencies, sorted by name.
func (f *File) Dependencies() []Dependency { return slices.Clone(f.deps) }

// errorf points at an entry that is none ([I1]).
func (f *File) errorf(offset int, format string, args ...any) error {
	return jsonfile.Errorf(Name, "I1", f.text, offset, format, args...)
}

// object returns the object esDependencies, or nil.
func (f *File) object() *jsonfile.Object {
	if i := f.root.Find(esField); i >= 0 {
		return f.root.Members[i].Object
	}
	return nil
}

// dependencies reads esDependencies.
func (f *File) dependencies() ([]Dependency, error) {
	i := f.root.Find(esField)
	if i < 0 {
		return nil, nil
	}
	field := f.root.Members[i]
	if field.Object == nil {
		return nil, f.errorf(field.ValueStart, "esDependencies must be an object")
	}
	var list []Dependency
	for _, m := range field.Object.Members {
		name, err := records.ParseName(m.Key)
		if err != nil {
			return nil, f.errorf(m.KeyStart, "esDependencies: %v", err)
		}
		if m.Text == nil {
			return nil, f.errorf(m.ValueStart, "esDependencies: what %s asks for must be a string", name)
		}
		spec, err := ParseSpec(*m.Text)
		if err != nil {
			return nil, f.errorf(m.ValueStart, "esDependencies: %s: %v", name, err)
		}
		list = append(list, Dependency{name, spec})
	}
	slices.SortFunc(list, func(a, b Dependency) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list, nil
}

// Set makes esDependencies say spec for name.
func (f *File) Set(name records.Name, spec string) error {
	deps := f.object()
	if deps == nil {
		return f.addField(name, spec)
	}
	if i := deps.Find(string(name)); i >= 0 {
		m := deps.Members[i]
		return f.replace(m.ValueStart, m.ValueEnd, jsonfile.Quote(spec))
	}
	if len(deps.Members) == 0 {
		return f.replace(deps.Start, deps.End, f.newObject(name, spec))
	}
	entry := jsonfile.Quote(string(name)) + f.colon(deps) + jsonfile.Quote(spec)
	for i, m := range deps.Members {
		if m.Key > string(name) {
			return f.replace(m.KeyStart, m.KeyStart, entry+","+f.gap(deps, i))
		}
	}
	last := len(deps.Members) - 1
	end := deps.Members[last].ValueEnd
	return f.replace(end, end, ","+f.gap(deps, last)+entry)
}

// Remove removes name from esDependencies, and esDependencies from the file when
// nothing is left, as npm does. It reports whether there was an entry.
func (f *File) Remove(name records.Name) (found bool, err error) {
	deps := f.object()
	if deps == nil || deps.Find(string(name)) < 0 {
		return false, nil
	}
	if len(deps.Members) == 1 {
		return true, f.cut(f.root, f.root.Find(esField))
	}
	return true, f.cut(deps, deps.Find(string(name)))
}

// cut removes the member i of o with one of the commas beside it.
func (f *File) cut(o *jsonfile.Object, i int) error {
	switch n := len(o.Members); {
	case n == 1:
		return f.replace(o.Start+1, o.End-1, "")
	case i == n-1:
		return f.replace(o.Members[i-1].ValueEnd, o.Members[i].ValueEnd, "")
	}
	return f.replace(o.Members[i].KeyStart, o.Members[i+1].KeyStart, "")
}

// addField adds esDependencies behind the last field.
func (f *File) addField(name records.Name, spec string) error {
	root := f.root
	if len(root.Members) == 0 {
		nl := f.newline()
		field := nl + "  " + `"` + esField + `": ` + f.newObject(name, spec) + nl
		return f.replace(root.Start+1, root.End-1, field)
	}
	last := len(root.Members) - 1
	end := root.Members[last].ValueEnd
	field := `"` + esField + `"` + f.colon(root) + f.newObject(name, spec)
	return f.replace(end, end, ","+f.gap(root, last)+field)
}

// newObject returns an esDependencies with one entry in the style of the file.
func (f *File) newObject(name records.Name, spec string) string {
	colon, indent, multi := ": ", "  ", true
	if n := len(f.root.Members); n > 0 {
		colon = f.colon(f.root)
		gap := f.gap(f.root, 0)
		multi = strings.Contains(gap, "\n")
		indent = gap[strings.LastIndexByte(gap, '\n')+1:]
	}
	entry := jsonfile.Quote(string(name)) + colon + jsonfile.Quote(spec)
	if !multi {
		return "{" + entry + "}"
	}
	nl := f.newline()
	return "{" + nl + indent + indent + entry + nl + indent + "}"
}

// colon returns what stands between the key and the value of o's first member.
func (f *File) colon(o *jsonfile.Object) string {
	m := o.Members[0]
	return string(f.text[m.KeyEnd:m.ValueStart])
}

// gap returns the white space before the key of o's member i.
func (f *File) gap(o *jsonfile.Object, i int) string {
	start := o.Start + 1
	if i > 0 {
		start = o.Members[i-1].ValueEnd
	}
	return strings.Replace(string(f.text[start:o.Members[i].KeyStart]), ",", "", 1)
}

func (f *File) newline() string {
	if i := bytes.IndexByte(f.text, '\n'); i > 0 && f.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func (f *File) replace(start, end int, with string) error {
	f.text = slices.Concat(f.text[:start], []byte(with), f.text[end:])
	return f.parse()
}
