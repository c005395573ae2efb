package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

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
	root *jsonObject
}

// newPackageJSON is what edits of an absent package.json start from.
const newPackageJSON = "{}\n"

func parsePackageFile(b []byte) (*packageFile, error) {
	if len(b) > modules.MaxPackageJSON {
		return nil, &SyntaxError{packageJSON, 1, 1, fmt.Sprintf("has %d bytes, the limit is %d", len(b), modules.MaxPackageJSON)}
	}
	f := &packageFile{}
	f.bom, f.text = regularfile.CutBOM(b)
	return f, f.parse()
}

func (f *packageFile) parse() error {
	root, err := parseJSONObject(packageJSON, f.text)
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
	r := &jsonReader{file: packageJSON, src: f.text}
	return r.errorf(offset, format, args...)
}

// deps returns the object esDependencies, or nil.
func (f *packageFile) deps() *jsonObject {
	if i := f.root.find(esField); i >= 0 {
		return f.root.members[i].object
	}
	return nil
}

// dependencies returns esDependencies, sorted by name.
func (f *packageFile) dependencies() ([]Dependency, error) {
	i := f.root.find(esField)
	if i < 0 {
		return nil, nil
	}
	field := f.root.members[i]
	if field.object == nil {
		return nil, f.errorf(field.valueStart, "esDependencies must be an object")
	}
	var list []Dependency
	for _, m := range field.object.members {
		name, err := records.ParseName(m.key)
		if err != nil {
			return nil, f.errorf(m.keyStart, "esDependencies: %v", err)
		}
		if m.text == nil {
			return nil, f.errorf(m.valueStart, "esDependencies: what %s asks for must be a string", name)
		}
		spec, err := ParseSpec(*m.text)
		if err != nil {
			return nil, f.errorf(m.valueStart, "esDependencies: %s: %v", name, err)
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
	if i := deps.find(string(name)); i >= 0 {
		m := deps.members[i]
		return f.replace(m.valueStart, m.valEnd, string(appendJSON(nil, spec)))
	}
	if len(deps.members) == 0 {
		return f.replace(deps.start, deps.end, f.object(name, spec))
	}
	entry := string(appendJSON(nil, string(name))) + f.colon(deps) + string(appendJSON(nil, spec))
	for i, m := range deps.members {
		if m.key > string(name) {
			return f.replace(m.keyStart, m.keyStart, entry+","+f.gap(deps, i))
		}
	}
	last := len(deps.members) - 1
	end := deps.members[last].valEnd
	return f.replace(end, end, ","+f.gap(deps, last)+entry)
}

// remove takes name out of esDependencies, and esDependencies out of the file
// when nothing is left, as npm does.
func (f *packageFile) remove(name records.Name) error {
	deps := f.deps()
	if deps == nil || deps.find(string(name)) < 0 {
		return &NotFoundError{Name: name}
	}
	if len(deps.members) == 1 {
		return f.cut(f.root, f.root.find(esField))
	}
	return f.cut(deps, deps.find(string(name)))
}

// cut removes the member i of o with one of the commas beside it.
func (f *packageFile) cut(o *jsonObject, i int) error {
	switch n := len(o.members); {
	case n == 1:
		return f.replace(o.start+1, o.end-1, "")
	case i == n-1:
		return f.replace(o.members[i-1].valEnd, o.members[i].valEnd, "")
	}
	return f.replace(o.members[i].keyStart, o.members[i+1].keyStart, "")
}

// addField adds esDependencies behind the last field.
func (f *packageFile) addField(name records.Name, spec string) error {
	root := f.root
	if len(root.members) == 0 {
		nl := f.newline()
		field := nl + "  " + `"` + esField + `": ` + f.object(name, spec) + nl
		return f.replace(root.start+1, root.end-1, field)
	}
	last := len(root.members) - 1
	end := root.members[last].valEnd
	field := `"` + esField + `"` + f.colon(root) + f.object(name, spec)
	return f.replace(end, end, ","+f.gap(root, last)+field)
}

// object writes an esDependencies with one entry in the style of the file.
func (f *packageFile) object(name records.Name, spec string) string {
	colon, indent, multi := ": ", "  ", true
	if n := len(f.root.members); n > 0 {
		colon = f.colon(f.root)
		gap := f.gap(f.root, 0)
		multi = strings.Contains(gap, "\n")
		indent = gap[strings.LastIndexByte(gap, '\n')+1:]
	}
	entry := string(appendJSON(nil, string(name))) + colon + string(appendJSON(nil, spec))
	if !multi {
		return "{" + entry + "}"
	}
	nl := f.newline()
	return "{" + nl + indent + indent + entry + nl + indent + "}"
}

// colon returns what stands between the key and the value of o's first member.
func (f *packageFile) colon(o *jsonObject) string {
	m := o.members[0]
	return string(f.text[m.keyEnd:m.valueStart])
}

// gap returns the white space before the key of o's member i.
func (f *packageFile) gap(o *jsonObject, i int) string {
	start := o.start + 1
	if i > 0 {
		start = o.members[i-1].valEnd
	}
	return strings.Replace(string(f.text[start:o.members[i].keyStart]), ",", "", 1)
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
