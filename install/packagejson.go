package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/jsontext"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
)

const (
	packageJSON = "package.json"
	esField     = "esDependencies"
)

// A packageFile is the text of package.json. Edits change esDependencies and
// keep every other byte.
type packageFile struct {
	bom  []byte
	text []byte // without the byte order mark
	root *jsontext.Object
}

// newPackageJSON is what edits of an absent package.json start from.
const newPackageJSON = "{}\n"

func parsePackageFile(b []byte) (*packageFile, error) {
	if len(b) > modules.MaxPackageJSON {
		return nil, &SyntaxError{File: packageJSON, Line: 1, Column: 1, Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(b), modules.MaxPackageJSON)}
	}
	f := &packageFile{}
	f.bom, f.text = regularfile.CutBOM(b)
	return f, f.parse()
}

func (f *packageFile) parse() error {
	root, err := jsontext.Parse(packageJSON, f.text)
	if err != nil {
		return err
	}
	f.root = root
	_, err = f.dependencies()
	return err
}

// bytes returns the file.
func (f *packageFile) bytes() []byte { return slices.Concat(f.bom, f.text) }

// errorf points at a place in the text.
func (f *packageFile) errorf(offset int, format string, args ...any) error {
	return jsontext.Errorf(packageJSON, f.text, offset, format, args...)
}

// deps returns the object esDependencies, or nil.
func (f *packageFile) deps() *jsontext.Object {
	if i := f.root.Find(esField); i >= 0 {
		return f.root.Members[i].Object
	}
	return nil
}

// dependencies returns esDependencies, sorted by name.
func (f *packageFile) dependencies() ([]Dependency, error) {
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

// set makes esDependencies say spec for name.
func (f *packageFile) set(name records.Name, spec string) error {
	deps := f.deps()
	if deps == nil {
		return f.addField(name, spec)
	}
	if i := deps.Find(string(name)); i >= 0 {
		m := deps.Members[i]
		return f.replace(m.ValueStart, m.ValueEnd, jsontext.Quote(spec))
	}
	if len(deps.Members) == 0 {
		return f.replace(deps.Start, deps.End, f.object(name, spec))
	}
	entry := jsontext.Quote(string(name)) + f.colon(deps) + jsontext.Quote(spec)
	for i, m := range deps.Members {
		if m.Key > string(name) {
			return f.replace(m.KeyStart, m.KeyStart, entry+","+f.gap(deps, i))
		}
	}
	last := len(deps.Members) - 1
	end := deps.Members[last].ValueEnd
	return f.replace(end, end, ","+f.gap(deps, last)+entry)
}

// remove takes name out of esDependencies, and esDependencies out of the file
// when nothing is left, as npm does.
func (f *packageFile) remove(name records.Name) error {
	deps := f.deps()
	if deps == nil || deps.Find(string(name)) < 0 {
		return &NotFoundError{Name: name}
	}
	if len(deps.Members) == 1 {
		return f.cut(f.root, f.root.Find(esField))
	}
	return f.cut(deps, deps.Find(string(name)))
}

// cut removes the member i of o with one of the commas beside it.
func (f *packageFile) cut(o *jsontext.Object, i int) error {
	switch n := len(o.Members); {
	case n == 1:
		return f.replace(o.Start+1, o.End-1, "")
	case i == n-1:
		return f.replace(o.Members[i-1].ValueEnd, o.Members[i].ValueEnd, "")
	}
	return f.replace(o.Members[i].KeyStart, o.Members[i+1].KeyStart, "")
}

// addField adds esDependencies behind the last field.
func (f *packageFile) addField(name records.Name, spec string) error {
	root := f.root
	if len(root.Members) == 0 {
		nl := f.newline()
		field := nl + "  " + `"` + esField + `": ` + f.object(name, spec) + nl
		return f.replace(root.Start+1, root.End-1, field)
	}
	last := len(root.Members) - 1
	end := root.Members[last].ValueEnd
	field := `"` + esField + `"` + f.colon(root) + f.object(name, spec)
	return f.replace(end, end, ","+f.gap(root, last)+field)
}

// object writes an esDependencies with one entry in the style of the file.
func (f *packageFile) object(name records.Name, spec string) string {
	colon, indent, multi := ": ", "  ", true
	if n := len(f.root.Members); n > 0 {
		colon = f.colon(f.root)
		gap := f.gap(f.root, 0)
		multi = strings.Contains(gap, "\n")
		indent = gap[strings.LastIndexByte(gap, '\n')+1:]
	}
	entry := jsontext.Quote(string(name)) + colon + jsontext.Quote(spec)
	if !multi {
		return "{" + entry + "}"
	}
	nl := f.newline()
	return "{" + nl + indent + indent + entry + nl + indent + "}"
}

// colon returns what stands between the key and the value of o's first member.
func (f *packageFile) colon(o *jsontext.Object) string {
	m := o.Members[0]
	return string(f.text[m.KeyEnd:m.ValueStart])
}

// gap returns the white space before the key of o's member i.
func (f *packageFile) gap(o *jsontext.Object, i int) string {
	start := o.Start + 1
	if i > 0 {
		start = o.Members[i-1].ValueEnd
	}
	return strings.Replace(string(f.text[start:o.Members[i].KeyStart]), ",", "", 1)
}

func (f *packageFile) newline() string {
	if i := bytes.IndexByte(f.text, '\n'); i > 0 && f.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func (f *packageFile) replace(start, end int, with string) error {
	f.text = slices.Concat(f.text[:start], []byte(with), f.text[end:])
	return f.parse()
}

// readPackageFile reads dir's package.json; found is false when there is none.
func readPackageFile(dir string) (f *packageFile, found bool, err error) {
	b, err := regularfile.Read(filepath.Join(dir, packageJSON), modules.MaxPackageJSON)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = parsePackageFile([]byte(newPackageJSON))
		return f, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("read package.json: %w", err)
	}
	f, err = parsePackageFile(b)
	return f, true, err
}
