// Package lockfile reads and writes es-lock.json: which module stands at which path
// of node_modules, which record names it and who signed that.
//
// It implements SPEC.md section 11.2, whose rules are tagged [I7] to [I11]. What is
// parsed has been checked: no path, name, command or text of a File is one that es
// would not write, wherever the file came from. What it says of records and signers
// is only what somebody wrote there ([I133]). The package decides nothing about what
// a project needs, and touches no node_modules.
package lockfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

const (
	Name    = "es-lock.json" // of the file, in the directory of the project
	Version = 1              // of the format
)

// Limits of a file (SPEC.md [I9]); those of paths and packages are elsewhere.
const (
	MaxSize     = 64 << 20 // bytes
	MaxPackages = 20_000   // links among them
)

// A File is what es-lock.json holds: every package of the tree, for every platform.
type File struct {
	Packages map[string]*Package // by path: "node_modules/a/node_modules/b"
}

// Bytes returns the lockfile's one encoding: the same packages give the same
// bytes.
func (f *File) Bytes() []byte {
	text := fileText{Version, map[string]*packageText{}}
	for path, p := range f.Packages {
		text.Packages[path] = p.text()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(text); err != nil {
		panic(err) // strings and numbers always encode
	}
	return b.Bytes()
}

// Read reads the es-lock.json of the project at dir; it returns nil when there is none.
func Read(dir string) (*File, error) {
	b, err := regularfile.Read(filepath.Join(dir, Name), MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read es-lock.json: %w", err)
	}
	return Parse(b)
}

// Parse reads an es-lock.json. A path, name, CID or command that es would not write
// is a *jsonfile.SyntaxError, and so is a file of another version.
func Parse(b []byte) (*File, error) {
	if len(b) > MaxSize {
		return nil, &jsonfile.SyntaxError{File: Name, Line: 1, Column: 1, Rule: "I9", Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(b), MaxSize)}
	}
	_, b = regularfile.CutBOM(b)
	p := &parser{b}
	if i := bytes.Index(b, []byte("\n<<<<<<< ")); i >= 0 {
		return nil, p.errorf(i+1, "I7", "has the marks of an unfinished merge: take either side, and es install brings what is missing")
	}
	root, err := jsonfile.Parse(Name, "I7", b)
	if err != nil {
		return nil, err
	}
	if i := jsonfile.HalfPair(b); i >= 0 {
		return nil, p.errorf(i, "I7", "has an escape that is half of a surrogate pair")
	}
	if err := p.checkShape(root); err != nil {
		return nil, err
	}
	var text fileText
	if err := json.Unmarshal(b, &text); err != nil {
		return nil, p.errorf(0, "I10", "%v", err)
	}
	return p.packages(root, text)
}

// A parser holds the text, so that errors can point at lines.
type parser struct{ src []byte }

func (p *parser) errorf(offset int, rule, format string, args ...any) error {
	return jsonfile.Errorf(Name, rule, p.src, offset, format, args...)
}

// errorAbout is errorf for an error about the package at a path.
func (p *parser) errorAbout(path string, offset int, err error) error {
	rule := "I10"
	var broken *ruleError
	if errors.As(err, &broken) {
		rule = broken.rule
	}
	return p.errorf(offset, rule, "%q: %v", records.Clip(path), err)
}

// A ruleError is about another rule than I10, which lists the fields of a package.
type ruleError struct{ rule, reason string }

func (e *ruleError) Error() string { return e.reason }

func broken(rule, format string, args ...any) error {
	return &ruleError{rule, fmt.Sprintf(format, args...)}
}

var (
	fileFields    = fieldsOf(fileText{})
	packageFields = fieldsOf(packageText{})
)

// checkShape refuses keys that version 1 does not have; json.Unmarshal alone would
// also take them in another case.
func (p *parser) checkShape(root *jsonfile.Object) error {
	version := root.Find("lockfileVersion")
	if version < 0 {
		return p.errorf(root.Start, "I7", "has no lockfileVersion")
	}
	m := root.Members[version]
	switch v := string(p.src[m.ValueStart:m.ValueEnd]); {
	case v == "1":
	case len(v) < 10 && strings.Trim(v, "0123456789") == "" && v > "1":
		return p.errorf(m.ValueStart, "I7", "has lockfileVersion %s; this es reads version %d, so a newer one is needed", v, Version)
	default:
		return p.errorf(m.ValueStart, "I7", "has a lockfileVersion that is not %d", Version)
	}
	packages := root.Find("packages")
	if packages < 0 || root.Members[packages].Object == nil {
		return p.errorf(root.Start, "I7", "has no object packages")
	}
	if err := p.checkFields(root, "I7", fileFields); err != nil {
		return err
	}
	for _, m := range root.Members[packages].Object.Members {
		if m.Object == nil {
			return p.errorf(m.ValueStart, "I7", "%q must be an object", records.Clip(m.Key))
		}
		if err := p.checkFields(m.Object, "I10", packageFields); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) checkFields(o *jsonfile.Object, rule string, fields map[string]bool) error {
	for _, m := range o.Members {
		if !fields[m.Key] {
			return p.errorf(m.KeyStart, rule, "has the unknown field %q", records.Clip(m.Key))
		}
	}
	return nil
}

func (p *parser) packages(root *jsonfile.Object, text fileText) (*File, error) {
	f := &File{Packages: map[string]*Package{}}
	object := root.Members[root.Find("packages")].Object
	if len(object.Members) > MaxPackages {
		return nil, p.errorf(object.Start, "I9", "has %d packages, the limit is %d", len(object.Members), MaxPackages)
	}
	at := map[string]int{}
	for _, m := range object.Members {
		at[m.Key] = m.KeyStart
		t := text.Packages[m.Key]
		pkg, err := t.parse(m.Key)
		if err != nil {
			return nil, p.errorAbout(m.Key, m.KeyStart, err)
		}
		f.Packages[m.Key] = pkg
	}
	for _, path := range slices.Sorted(maps.Keys(f.Packages)) {
		if err := f.resolve(f.Packages[path]); err != nil {
			return nil, p.errorAbout(path, at[path], err)
		}
	}
	return f, nil
}

// resolve checks that a package stands in another one that is there, and gives a
// link what its target has.
func (f *File) resolve(p *Package) error {
	if parent := Parent(p.Path); parent != "" {
		above := f.Packages[parent]
		if above == nil {
			return broken("I8", "is in a package that the lockfile does not have")
		}
		if above.Link != "" {
			return broken("I8", "is in a package that is a link")
		}
	}
	if p.Link == "" {
		return nil
	}
	target := f.Packages[p.Link]
	if target == nil || target.Link != "" {
		return broken("I11", "links to %q, which is no package", records.Clip(p.Link))
	}
	path, optional := p.Path, target.Optional
	*p = *target
	p.Path, p.Link, p.Optional = path, target.Path, optional
	return nil
}
