package install

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

const lockJSON = "es-lock.json"

// LockfileVersion is the version of the format that this package writes.
const LockfileVersion = 1

// MaxLockfile is the most bytes of es-lock.json ([I9]).
const MaxLockfile = 64 << 20

// A Lockfile is what es-lock.json holds: every package of the tree, for every
// platform.
type Lockfile struct {
	Packages map[string]*Package // by path: "node_modules/a/node_modules/b"
}

// A Package is one module at one path of node_modules.
type Package struct {
	Path    string              // "node_modules/a/node_modules/b"
	Name    records.Name        // the release's name; another than the path's for an alias
	Version records.Version     // "" when the module does not say, which needs Record undefined
	Module  cid.Cid             // as CIDv1
	Record  cid.Cid             // undefined for a module that was asked for by CID
	Signer  records.Fingerprint // zero exactly when Record is undefined
	Size    int64               // bytes of all files
	Files   int64
	SHA512  []byte // of the original tarball, for an import; else nil

	// Link, when set, is the path of the same package elsewhere, which Path links to.
	// It is how conflicts that would nest for ever, or too often, end. All else is as
	// there.
	Link string

	Optional bool // only optional dependencies lead here
	Scripts  bool // has install scripts, which es does not run

	Bin                  map[string]string // command -> path in the module
	Dependencies         map[string]string
	OptionalDependencies map[string]string
	PeerDependencies     map[string]string
	OptionalPeers        []string
	Pins                 map[string]cid.Cid
	Bundled              []string
	Engines              map[string]string
	OS, CPU, Libc        []string
}

// String returns NAME@VERSION, or NAME@CID for a module without a version.
func (p *Package) String() string {
	if p.Version == "" {
		return string(p.Name) + "@" + p.Module.String()
	}
	return string(p.Name) + "@" + string(p.Version)
}

// Target is what is fetched for p.
func (p *Package) Target() records.Target {
	return records.Target{CID: p.Module, Size: p.Size, Files: p.Files, Record: p.Record}
}

// lockText is the lockfile as JSON; its fields stand in this order.
type lockText struct {
	LockfileVersion int                     `json:"lockfileVersion"`
	Packages        map[string]*packageText `json:"packages"`
}

type packageText struct {
	Link                 string            `json:"link,omitempty"`
	Name                 string            `json:"name,omitempty"`
	Version              string            `json:"version,omitempty"`
	Module               string            `json:"module,omitempty"`
	Record               string            `json:"record,omitempty"`
	Signer               string            `json:"signer,omitempty"`
	Size                 *int64            `json:"size,omitempty"`
	Files                *int64            `json:"files,omitempty"`
	Integrity            string            `json:"integrity,omitempty"`
	Optional             bool              `json:"optional,omitempty"`
	Scripts              bool              `json:"scripts,omitempty"`
	Bin                  map[string]string `json:"bin,omitempty"`
	Dependencies         map[string]string `json:"dependencies,omitempty"`
	OptionalDependencies map[string]string `json:"optionalDependencies,omitempty"`
	PeerDependencies     map[string]string `json:"peerDependencies,omitempty"`
	OptionalPeers        []string          `json:"optionalPeers,omitempty"`
	Pins                 map[string]string `json:"pins,omitempty"`
	Bundled              []string          `json:"bundled,omitempty"`
	Engines              map[string]string `json:"engines,omitempty"`
	OS                   []string          `json:"os,omitempty"`
	CPU                  []string          `json:"cpu,omitempty"`
	Libc                 []string          `json:"libc,omitempty"`
}

const integrityPrefix = "sha512-"

// Bytes returns the lockfile's one encoding: the same packages give the same
// bytes.
func (l *Lockfile) Bytes() []byte {
	text := lockText{LockfileVersion, map[string]*packageText{}}
	for path, p := range l.Packages {
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

func (p *Package) text() *packageText {
	if p.Link != "" {
		return &packageText{Link: p.Link}
	}
	t := &packageText{
		Name: string(p.Name), Version: string(p.Version), Module: p.Module.String(),
		Size: &p.Size, Files: &p.Files, Optional: p.Optional, Scripts: p.Scripts,
		Bin: p.Bin, Dependencies: p.Dependencies, OptionalDependencies: p.OptionalDependencies,
		PeerDependencies: p.PeerDependencies, OptionalPeers: p.OptionalPeers, Bundled: p.Bundled,
		Engines: p.Engines, OS: p.OS, CPU: p.CPU, Libc: p.Libc,
	}
	if p.Record.Defined() {
		t.Record, t.Signer = p.Record.String(), p.Signer.String()
	}
	if p.SHA512 != nil {
		t.Integrity = integrityPrefix + base64.StdEncoding.EncodeToString(p.SHA512)
	}
	for name, c := range p.Pins {
		if t.Pins == nil {
			t.Pins = map[string]string{}
		}
		t.Pins[name] = c.String()
	}
	return t
}

// ParseLockfile reads es-lock.json. A path, name, CID or bin that this package
// would not write is an error, wherever the file came from.
func ParseLockfile(b []byte) (*Lockfile, error) {
	if len(b) > MaxLockfile {
		return nil, &SyntaxError{lockJSON, 1, 1, fmt.Sprintf("has %d bytes, the limit is %d", len(b), MaxLockfile)}
	}
	_, b = regularfile.CutBOM(b)
	if i := bytes.Index(b, []byte("\n<<<<<<< ")); i >= 0 {
		r := &jsonReader{file: lockJSON, src: b}
		return nil, r.errorf(i+1, "has the marks of an unfinished merge: take either side, and es install brings what is missing")
	}
	root, err := parseJSONObject(lockJSON, b)
	if err != nil {
		return nil, err
	}
	c := &lockChecker{jsonReader{file: lockJSON, src: b}}
	if err := c.shape(root); err != nil {
		return nil, err
	}
	var text lockText
	if err := json.Unmarshal(b, &text); err != nil {
		return nil, c.errorf(0, "%v", err)
	}
	return c.packages(root, text)
}

// A lockChecker holds the text, so that errors can point at lines.
type lockChecker struct{ jsonReader }

var (
	lockFields    = fieldsOf(lockText{})
	packageFields = fieldsOf(packageText{})
)

// shape refuses keys that version 1 does not have; json.Unmarshal alone would
// also take them in another case.
func (c *lockChecker) shape(root *jsonObject) error {
	version := root.find("lockfileVersion")
	if version < 0 {
		return c.errorf(root.start, "has no lockfileVersion")
	}
	m := root.members[version]
	switch v := string(c.src[m.valueStart:m.valEnd]); {
	case v == "1":
	case len(v) < 10 && strings.Trim(v, "0123456789") == "" && v > "1":
		return c.errorf(m.valueStart, "has lockfileVersion %s; this es reads version %d, so a newer one is needed", v, LockfileVersion)
	default:
		return c.errorf(m.valueStart, "has a lockfileVersion that is not %d", LockfileVersion)
	}
	packages := root.find("packages")
	if packages < 0 || root.members[packages].object == nil {
		return c.errorf(root.start, "has no object packages")
	}
	if err := c.known(root, lockFields); err != nil {
		return err
	}
	for _, m := range root.members[packages].object.members {
		if m.object == nil {
			return c.errorf(m.valueStart, "%q must be an object", clip(m.key))
		}
		if err := c.known(m.object, packageFields); err != nil {
			return err
		}
	}
	return nil
}

func (c *lockChecker) known(o *jsonObject, fields map[string]bool) error {
	for _, m := range o.members {
		if !fields[m.key] {
			return c.errorf(m.keyStart, "has the unknown field %q", clip(m.key))
		}
	}
	return nil
}

func (c *lockChecker) packages(root *jsonObject, text lockText) (*Lockfile, error) {
	l := &Lockfile{Packages: map[string]*Package{}}
	object := root.members[root.find("packages")].object
	if len(object.members) > MaxPackages {
		return nil, c.errorf(object.start, "has %d packages, the limit is %d", len(object.members), MaxPackages)
	}
	at := map[string]int{}
	for _, m := range object.members {
		at[m.key] = m.keyStart
		t := text.Packages[m.key]
		p, err := t.pkg(m.key)
		if err != nil {
			return nil, c.errorf(m.keyStart, "%q: %v", clip(m.key), err)
		}
		l.Packages[m.key] = p
	}
	for _, path := range slices.Sorted(maps.Keys(l.Packages)) {
		if err := l.checkPlace(l.Packages[path]); err != nil {
			return nil, c.errorf(at[path], "%q: %v", clip(path), err)
		}
	}
	return l, nil
}

// checkPlace checks that a package stands in another one that is there, and
// resolves links.
func (l *Lockfile) checkPlace(p *Package) error {
	if parent := parentPath(p.Path); parent != "" {
		above := l.Packages[parent]
		if above == nil {
			return fmt.Errorf("is in a package that the lockfile does not have")
		}
		if above.Link != "" {
			return fmt.Errorf("is in a package that is a link")
		}
	}
	if p.Link == "" {
		return nil
	}
	target := l.Packages[p.Link]
	if target == nil || target.Link != "" {
		return fmt.Errorf("links to %q, which is no package", clip(p.Link))
	}
	path, optional := p.Path, target.Optional
	*p = *target
	p.Path, p.Link, p.Optional = path, target.Path, optional
	return nil
}

// readLockfile reads dir's es-lock.json, or returns nil when there is none.
func readLockfile(dir string) (*Lockfile, error) {
	b, err := regularfile.Read(filepath.Join(dir, lockJSON), MaxLockfile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read es-lock.json: %w", err)
	}
	return ParseLockfile(b)
}
