package install

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/internal/regularfile"
)

// markerJSON says what es put into node_modules. It is a note and no promise: losing it
// costs that everything is read again. It counts only when this user's es has written it,
// since a checkout may bring one.
const markerJSON = lockfile.NodeModules + "/.es-modules.json"

type marker struct {
	Version int               `json:"version"`
	MAC     string            `json:"mac,omitempty"` // of all else, by the user's key
	Modules map[string]placed `json:"modules"`       // by path
	Bins    map[string]string `json:"bins"`          // path of the command -> path of its package
}

// placed is one package that es installed. While it is being replaced, Module
// is empty.
type placed struct {
	Module      string `json:"module"`
	Link        string `json:"link,omitempty"`
	Fingerprint string `json:"packagejson.Name,omitempty"`
}

// mac authenticates all of m but its MAC.
func (m *marker) mac(key []byte) string {
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

// readMarker returns an empty marker when there is none that can be used.
func (d *disk) readMarker() *marker {
	empty := &marker{Version: 1, Modules: map[string]placed{}, Bins: map[string]string{}}
	b, err := regularfile.ReadIn(d.root, filepath.FromSlash(markerJSON), lockfile.MaxSize)
	if err != nil {
		return empty
	}
	var m marker
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

// write stores m; a reader finds the old one or the new one.
func (m *marker) write(d *disk) error {
	m.MAC = m.mac(d.noteKey)
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return d.write(markerJSON, append(b, '\n'), 0o644)
}

// ours reports whether es put what now stands at path.
func (m *marker) ours(d *disk, path string) bool {
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

// holds reports whether p stands where it belongs.
func (m *marker) holds(d *disk, p *Package) bool {
	now := m.Modules[p.Path]
	return now.Module == p.Module.String() && now.Link == p.Link && m.ours(d, p.Path)
}

func (m *marker) paths() []string {
	var list []string
	for path := range m.Modules {
		list = append(list, path)
	}
	return sortedByDepth(list)
}

// inside returns the marker's packages in the package at path.
func (m *marker) inside(path string) []string {
	return slices.DeleteFunc(m.paths(), func(p string) bool { return !strings.HasPrefix(p, path+"/") })
}
