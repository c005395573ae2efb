package layout

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// NotePath is where the Note of a project is.
const NotePath = lockfile.NodeModules + "/.es-modules.json"

// A Note says what es put into node_modules ([I25]). It is no promise: losing it costs
// that everything is read again. It counts only when this user's es has written it,
// since a checkout may bring one.
type Note struct {
	Version int               `json:"version"`
	MAC     string            `json:"mac,omitempty"` // of all else, by the user's key
	Modules map[string]Placed `json:"modules"`       // by path
	Bins    map[string]string `json:"bins"`          // path of the command -> path of its package
}

// Placed is one package that es installed. While it is being replaced, Module is
// empty.
type Placed struct {
	Module      string `json:"module"`
	Link        string `json:"link,omitempty"`
	Fingerprint string `json:"packagejson.Name,omitempty"`
}

// mac authenticates all of m but its MAC.
func (m *Note) mac(key []byte) string {
	text := *m
	text.MAC = ""
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte("es-modules-note/1\x00"))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// Note returns the note, which is empty when there is none that counts.
func (d *Dir) Note() *Note {
	empty := &Note{Version: 1, Modules: map[string]Placed{}, Bins: map[string]string{}}
	b, err := regularfile.ReadIn(d.root, filepath.FromSlash(NotePath), lockfile.MaxSize)
	if err != nil {
		return empty
	}
	var m Note
	if json.Unmarshal(b, &m) != nil || m.Version != 1 || m.Modules == nil || m.Bins == nil {
		return empty
	}
	if !hmac.Equal([]byte(m.MAC), []byte(m.mac(d.noteKey))) {
		return empty
	}
	for path := range m.Modules {
		if lockfile.CheckPath(path) != nil {
			return empty
		}
	}
	for bin, owner := range m.Bins {
		if checkBinPath(bin) != nil || lockfile.CheckPath(owner) != nil {
			return empty
		}
	}
	return &m
}

// Encode returns the file of m, with the MAC that the key gives it.
func (m *Note) Encode(key []byte) []byte {
	m.MAC = m.mac(key)
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return append(b, '\n')
}

// write stores m; a reader finds the old one or the new one.
func (m *Note) write(d *Dir) error { return d.write(NotePath, m.Encode(d.noteKey), 0o644) }

// ours reports whether es put there what now stands at path.
func (m *Note) ours(d *Dir, path string) bool {
	p, known := m.Modules[path]
	info, err := d.lstat(path)
	if err != nil || info == nil || !known {
		return false
	}
	if p.Link != "" {
		target, err := d.root.Readlink(filepath.FromSlash(path))
		return err == nil && target == linkTarget(path, p.Link)
	}
	return p.Module == "" || info.IsDir() && d.fingerprint(path) == p.Fingerprint
}

// Holds reports whether p stands where it belongs, as far as the note says.
func (m *Note) Holds(d *Dir, p *lockfile.Package) bool {
	now := m.Modules[p.Path]
	return now.Module == p.Module.String() && now.Link == p.Link && m.ours(d, p.Path)
}

// Paths returns where packages of es's stand, each before those in it.
func (m *Note) Paths() []string {
	return slices.SortedFunc(maps.Keys(m.Modules), lockfile.ComparePaths)
}

// Inside returns the paths in the package at path.
func (m *Note) Inside(path string) []string {
	return slices.DeleteFunc(m.Paths(), func(p string) bool { return !strings.HasPrefix(p, path+"/") })
}

// PackageOf returns the version of the package that node finds as name from the
// project and that es did not put there: in its node_modules or in one above. ok says
// that there is one.
func (d *Dir) PackageOf(name records.Name, note *Note) (version records.Version, ok bool) {
	for dir := d.path; ; dir = filepath.Dir(dir) {
		at := lockfile.NodeModules + "/" + string(name)
		if dir == d.path && note.ours(d, at) {
			return "", false // it goes, since es-lock.json has it no more
		}
		b, err := regularfile.Read(filepath.Join(dir, filepath.FromSlash(at), packagejson.Name), packagejson.MaxSize)
		if err == nil {
			_, b = regularfile.CutBOM(b)
			var said struct{ Version string }
			_ = json.Unmarshal(b, &said)
			version, _ = records.ParseVersion(said.Version)
			return version, true
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, regularfile.ErrNotRegular) || dir == filepath.Dir(dir) {
			return "", false
		}
	}
}
