package lockfile

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// fileText is the lockfile as JSON; its fields stand in this order.
type fileText struct {
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
		t.Pins[string(name)] = c.String()
	}
	return t
}

// fieldsOf returns the JSON names of v's fields.
func fieldsOf(v any) map[string]bool {
	fields := map[string]bool{}
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = true
	}
	return fields
}

// parse checks everything about an entry that does not depend on other entries.
func (t *packageText) parse(path string) (*Package, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if t.Link != "" {
		if err := CheckPath(t.Link); err != nil {
			return nil, broken("I11", "link: %v", err)
		}
		if !reflect.DeepEqual(*t, packageText{Link: t.Link}) {
			return nil, broken("I11", "is a link and has other fields")
		}
		return &Package{Path: path, Link: t.Link}, nil
	}
	p := &Package{Path: path, Optional: t.Optional, Manifest: records.Manifest{
		Scripts: t.Scripts, Bin: t.Bin, Dependencies: t.Dependencies, OptionalDependencies: t.OptionalDependencies,
		PeerDependencies: t.PeerDependencies, OptionalPeers: t.OptionalPeers, Bundled: t.Bundled,
		Engines: t.Engines, OS: t.OS, CPU: t.CPU, Libc: t.Libc,
	}}
	for _, check := range []func(*Package) error{t.identity, t.size, t.origin, t.pins, t.texts} {
		if err := check(p); err != nil {
			return nil, err
		}
	}
	p.normalize()
	return p, nil
}

func (t *packageText) identity(p *Package) (err error) {
	if p.Name, err = records.ParseName(t.Name); err != nil {
		return err
	}
	if t.Version != "" {
		if p.Version, err = records.ParseVersion(t.Version); err != nil {
			return err
		}
	}
	if p.Module, err = strictCID(t.Module, cid.DagProtobuf); err != nil {
		return fmt.Errorf("module: %w", err)
	}
	if t.Record == "" && t.Signer == "" {
		if p.Name != NameAt(p.Path) {
			return fmt.Errorf("has another name and no record")
		}
		return nil
	}
	if t.Version == "" {
		return fmt.Errorf("has a record and no version")
	}
	if p.Record, err = strictCID(t.Record, cid.DagCBOR); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	p.Signer, err = records.ParseFingerprint(t.Signer)
	if err == nil && p.Signer.String() != t.Signer {
		err = fmt.Errorf("signer must be upper-case hexadecimal digits alone")
	}
	return err
}

func (t *packageText) size(p *Package) error {
	if t.Size == nil || t.Files == nil {
		return fmt.Errorf("has no size or no files")
	}
	p.Size, p.Files = *t.Size, *t.Files
	if p.Size < 0 || p.Size > records.MaxModuleSize {
		return broken("I9", "size must be 0 to %d", int64(records.MaxModuleSize))
	}
	if p.Files < 0 || p.Files > records.MaxFiles {
		return broken("I9", "files must be 0 to %d", records.MaxFiles)
	}
	if p.Files == 0 && p.Record.Defined() {
		return broken("I9", "has a record and no files")
	}
	return nil
}

func (t *packageText) origin(p *Package) (err error) {
	if t.Integrity == "" {
		return nil
	}
	digest, ok := strings.CutPrefix(t.Integrity, integrityPrefix)
	if ok {
		p.SHA512, err = base64.StdEncoding.Strict().DecodeString(digest)
	}
	if !ok || err != nil || len(p.SHA512) != 64 || len(digest) != 88 {
		return fmt.Errorf("integrity must be sha512- and 64 bytes in base64")
	}
	return nil
}

func (t *packageText) pins(p *Package) error {
	for key, text := range t.Pins {
		name, err := records.ParseName(key)
		if err != nil {
			return fmt.Errorf("pins: %w", err)
		}
		if p.Pins == nil {
			p.Pins = map[records.Name]cid.Cid{}
		}
		if p.Pins[name], err = strictCID(text, cid.DagProtobuf); err != nil {
			return fmt.Errorf("pins: %s: %w", name, err)
		}
	}
	return nil
}

// texts checks what a manifest says, by the rules of records.
func (t *packageText) texts(p *Package) error {
	for command, program := range t.Bin {
		if err := CheckBin(command, program); err != nil {
			return broken("I21", "bin: %v", err)
		}
	}
	for _, deps := range []map[string]string{t.Dependencies, t.OptionalDependencies, t.PeerDependencies} {
		if err := checkMap(deps, records.IsDependencyName); err != nil {
			return err
		}
	}
	if err := checkMap(t.Engines, func(string) bool { return true }); err != nil {
		return err
	}
	for _, list := range [][]string{t.OptionalPeers, t.Bundled, t.OS, t.CPU, t.Libc} {
		if len(list) > records.MaxListItems {
			return fmt.Errorf("has a list of %d items, the limit is %d", len(list), records.MaxListItems)
		}
		for _, s := range list {
			if err := records.CheckText(s, records.MaxText); err != nil {
				return fmt.Errorf("%q %w", records.Clip(s), err)
			}
		}
	}
	for _, name := range t.Bundled {
		if !records.IsDependencyName(name) {
			return fmt.Errorf("bundled: %q cannot be the name of a dependency", records.Clip(name))
		}
	}
	return nil
}

func checkMap(m map[string]string, key func(string) bool) error {
	if len(m) > records.MaxMapEntries {
		return fmt.Errorf("has a map of %d entries, the limit is %d", len(m), records.MaxMapEntries)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !key(k) {
			return fmt.Errorf("%q cannot be the name of a dependency", records.Clip(k))
		}
		if err := records.CheckText(k, records.MaxText); err != nil {
			return fmt.Errorf("%q %w", records.Clip(k), err)
		}
		if err := records.CheckText(m[k], records.MaxLongText); err != nil {
			return fmt.Errorf("%q %w", records.Clip(m[k]), err)
		}
	}
	return nil
}

// strictCID reads a CIDv1 with sha2-256 in the only spelling es writes.
func strictCID(s string, codec uint64) (cid.Cid, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%q is not a CID", records.Clip(s))
	}
	want := cid.Prefix{Version: 1, Codec: codec, MhType: multihash.SHA2_256, MhLength: 32}
	if c.Prefix() != want || c.String() != s {
		return cid.Undef, fmt.Errorf("%q must be a CIDv1 with sha2-256 in base32, and of the right kind", records.Clip(s))
	}
	return c, nil
}

// CheckBin checks the name of a command and the path of its program (SPEC.md [I21]).
func CheckBin(command, program string) error {
	if err := records.CheckCommand(command); err != nil {
		return err
	}
	return records.CheckPath(program)
}
