package modules

import (
	"strings"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/packlist"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// PackageJSON is a checked package.json.
type PackageJSON struct {
	Name    records.Name
	Version records.Version
	Private bool                     // npm would refuse to publish it
	Pins    map[records.Name]cid.Cid // the CIDs among its esDependencies

	json    *npmjson.Object
	lenient bool // of an import: what npm passes over is passed over
}

// ParsePackageJSON reads a package.json of at most MaxPackageJSON bytes. Its
// name and version must be ones that package records takes. Anything wrong with
// it is a *RuleError.
func ParsePackageJSON(b []byte) (*PackageJSON, error) {
	if len(b) > MaxPackageJSON {
		return nil, ruleErrorf("M40", npmjson.FileName, "has %d bytes, the limit is %d", len(b), MaxPackageJSON)
	}
	json, err := npmjson.Parse(b)
	if err != nil {
		return nil, ruleErrorf("M40", npmjson.FileName, "%v", err)
	}
	p := &PackageJSON{json: json}
	for _, field := range []string{"name", "version"} {
		if _, ok := json.Get(field).(string); !ok {
			return nil, ruleErrorf("M41", npmjson.FileName, "has no %s", field)
		}
	}
	if p.Name, err = records.ParseName(json.Text("name")); err != nil {
		return nil, ruleErrorf("M41", npmjson.FileName, "%v", err)
	}
	if p.Version, err = records.ParseVersion(json.Text("version")); err != nil {
		return nil, ruleErrorf("M41", npmjson.FileName, "%v", err)
	}
	p.Private = npmjson.IsTruthy(json.Get("private"))
	if p.Pins, err = p.pins(); err != nil {
		return nil, err
	}
	return p, nil
}

// ParseImported reads the package.json of a tarball that a registry serves as
// name@version (SPEC.md [M360]). It takes what npm takes of old packages: upper case
// in names, a field that stands twice, dependencies that are none. The file must be of
// that name and version, though the version may be written as npm reads it ("v1.0.0",
// "1.0.0+build").
func ParseImported(b []byte, name string, version records.Version) (*PackageJSON, error) {
	if len(b) > MaxPackageJSON {
		return nil, ruleErrorf("M40", npmjson.FileName, "has %d bytes, the limit is %d", len(b), MaxPackageJSON)
	}
	json, err := npmjson.ParseLenient(b)
	if err != nil {
		return nil, ruleErrorf("M40", npmjson.FileName, "%v", err)
	}
	if !records.IsDependencyName(name) {
		return nil, ruleErrorf("M360", npmjson.FileName, "%.200q cannot be the name of a package", name)
	}
	if got := strings.TrimSpace(json.Text("name")); got != name {
		return nil, ruleErrorf("M360", npmjson.FileName, "is of %.200q, not of %q", got, name)
	}
	if got := json.Text("version"); cleanVersion(got) != string(version) {
		return nil, ruleErrorf("M360", npmjson.FileName, "is of version %.200q, not of %q", got, version)
	}
	return &PackageJSON{Name: records.Name(name), Version: version, Private: npmjson.IsTruthy(json.Get("private")), json: json, lenient: true}, nil
}

// cleanVersion is a version without what npm passes over around it.
func cleanVersion(s string) string {
	s = strings.TrimLeft(strings.TrimSpace(s), "=v ")
	s, _, _ = strings.Cut(s, "+")
	return s
}

// pins returns the CIDs among esDependencies. Version 0, which the first es
// wrote, is made version 1.
func (p *PackageJSON) pins() (map[records.Name]cid.Cid, error) {
	deps, err := p.dependencies("esDependencies")
	if err != nil {
		return nil, err
	}
	var pins map[records.Name]cid.Cid
	for name, value := range deps {
		c, ok := parsePin(value)
		if !ok {
			continue
		}
		n, err := records.ParseName(name)
		if err != nil {
			return nil, ruleErrorf("M48", npmjson.FileName, "esDependencies: %v", err)
		}
		if c.Type() != cid.DagProtobuf || unixfs.CheckCID(c) != nil {
			return nil, ruleErrorf("M48", npmjson.FileName, "esDependencies: %s is pinned to %s, which is not a UnixFS directory with sha2-256", n, c)
		}
		if pins == nil {
			pins = make(map[records.Name]cid.Cid)
		}
		pins[n] = cid.NewCidV1(cid.DagProtobuf, c.Hash())
	}
	if len(pins) > records.MaxMapEntries {
		return nil, ruleErrorf("M48", npmjson.FileName, "esDependencies has %d CIDs, the limit is %d", len(pins), records.MaxMapEntries)
	}
	return pins, nil
}

// parsePin tells a CID from a version range.
func parsePin(value string) (cid.Cid, bool) {
	value = strings.TrimPrefix(strings.TrimPrefix(value, "ipfs://"), "/ipfs/")
	c, err := cid.Decode(value)
	return c, err == nil
}

// dependencies reads a map of dependencies. What cannot stand in a record and
// cannot be shortened either is an error.
func (p *PackageJSON) dependencies(field string) (map[string]string, error) {
	deps := make(map[string]string)
	o, ok := p.json.Get(field).(*npmjson.Object)
	if !ok {
		if !npmjson.IsNothing(p.json.Get(field)) && !p.lenient {
			return nil, ruleErrorf("M46", npmjson.FileName, "%s is not an object", field)
		}
		return deps, nil
	}
	for _, name := range o.Keys() {
		value, ok := o.Get(name).(string)
		if p.lenient && (!ok || !records.IsDependencyName(name)) {
			continue
		}
		if !ok {
			return nil, ruleErrorf("M46", npmjson.FileName, "%s: the range of %.200q is not a string", field, name)
		}
		if !records.IsDependencyName(name) {
			return nil, ruleErrorf("M46", npmjson.FileName, "%s: %.200q cannot be the name of a dependency", field, name)
		}
		cleaned := records.CleanText(value, len(value))
		if len(cleaned) > records.MaxLongText {
			return nil, ruleErrorf("M46", npmjson.FileName, "%s: the range of %s has %d bytes, the limit is %d", field, name, len(cleaned), records.MaxLongText)
		}
		deps[name] = cleaned
	}
	return deps, nil
}

// Manifest derives what a release says about a module with this package.json
// and the files at paths. It depends on nothing else, so that whoever has the
// module derives the same.
func (p *PackageJSON) Manifest(paths []string) (records.Manifest, error) {
	m, _, err := p.manifest(paths)
	return m, err
}

func (p *PackageJSON) manifest(paths []string) (records.Manifest, []packlist.Warning, error) {
	files := make(map[string]bool, len(paths))
	for _, path := range paths {
		files[path] = true
	}
	m := records.Manifest{
		Description: records.CleanText(p.json.Text("description"), records.MaxText),
		Keywords:    p.keywords(),
		License:     p.license(),
		Homepage:    cleanURL(p.json.Get("homepage")),
		Repository:  cleanURL(p.json.Get("repository")),
		Engines:     p.engines(),
		OS:          p.platforms("os"),
		CPU:         p.platforms("cpu"),
		Libc:        p.platforms("libc"),
		Scripts:     p.installScripts(files),
		Shrinkwrap:  files["npm-shrinkwrap.json"],
	}
	if err := p.deriveDependencies(&m, paths); err != nil {
		return records.Manifest{}, nil, err
	}
	var warnings []packlist.Warning
	var err error
	m.Bin, warnings, err = p.bins(paths, files)
	if err != nil {
		return records.Manifest{}, nil, err
	}
	return m, warnings, checkManifestSize(&m)
}

func (p *PackageJSON) deriveDependencies(m *records.Manifest, paths []string) error {
	var err error
	if m.Dependencies, err = p.dependencies("dependencies"); err != nil {
		return err
	}
	if m.OptionalDependencies, err = p.dependencies("optionalDependencies"); err != nil {
		return err
	}
	if m.PeerDependencies, err = p.dependencies("peerDependencies"); err != nil {
		return err
	}
	es, err := p.dependencies("esDependencies")
	if err != nil {
		return err
	}
	m.Bundled = p.bundled(m.Dependencies, paths)
	for name := range m.OptionalDependencies {
		delete(m.Dependencies, name)
	}
	for name, value := range es {
		if _, pinned := parsePin(value); pinned {
			continue
		}
		m.Dependencies[name] = value
		delete(m.OptionalDependencies, name)
	}
	meta := p.json.Object("peerDependenciesMeta")
	for _, name := range meta.Keys() {
		if optional, _ := meta.Object(name).Get("optional").(bool); optional && records.IsDependencyName(name) {
			m.OptionalPeers = append(m.OptionalPeers, name)
		}
	}
	m.OptionalPeers = sortedUnique(m.OptionalPeers)
	for _, deps := range []*map[string]string{&m.Dependencies, &m.OptionalDependencies, &m.PeerDependencies} {
		if len(*deps) == 0 {
			*deps = nil
		}
	}
	return nil
}

// checkManifestSize refuses what a record cannot hold; shortening it would
// change what is installed.
func checkManifestSize(m *records.Manifest) error {
	for _, l := range []struct {
		field string
		n     int
		most  int
	}{
		{"dependencies", len(m.Dependencies), records.MaxMapEntries},
		{"optionalDependencies", len(m.OptionalDependencies), records.MaxMapEntries},
		{"peerDependencies", len(m.PeerDependencies), records.MaxMapEntries},
		{"peerDependenciesMeta", len(m.OptionalPeers), records.MaxListItems},
		{"bundleDependencies", len(m.Bundled), records.MaxListItems},
		{"bin", len(m.Bin), records.MaxMapEntries},
	} {
		if l.n > l.most {
			return ruleErrorf("M46", npmjson.FileName, "%s has %d entries, the limit is %d", l.field, l.n, l.most)
		}
	}
	return nil
}

// String returns "name@version".
func (p *PackageJSON) String() string { return string(p.Name) + "@" + string(p.Version) }
