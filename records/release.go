package records

import (
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
)

// Release says that a name and version is exactly this module.
type Release struct {
	Name     Name
	Version  Version
	Module   cid.Cid // root of the module's UnixFS directory
	Size     int64   // bytes of all files, exact
	Files    int64   // number of files, exact
	Manifest Manifest
	Pins     map[Name]cid.Cid // exact modules for named dependencies
	Origin   *Origin          // where an imported module came from
}

// Kind returns "release".
func (*Release) Kind() string { return "release" }

func (r *Release) encode(m datamodel.MapAssembler) {
	putString(m, "name", string(r.Name))
	putString(m, "version", string(r.Version))
	putLink(m, "module", r.Module)
	qp.MapEntry(m, "size", qp.Int(r.Size))
	qp.MapEntry(m, "files", qp.Int(r.Files))
	putMap(m, "manifest", func(f datamodel.MapAssembler) { putManifest(f, &r.Manifest) })
	if len(r.Pins) > 0 {
		putMap(m, "pins", func(p datamodel.MapAssembler) {
			for name, c := range r.Pins {
				putLink(p, string(name), c)
			}
		})
	}
	if r.Origin != nil {
		putMap(m, "origin", func(o datamodel.MapAssembler) { putOrigin(o, r.Origin) })
	}
}

func readRelease(m *mapReader) Body {
	r := &Release{
		Name:    Name(m.string("name", true)),
		Version: Version(m.string("version", true)),
		Module:  m.link("module", true),
		Size:    m.int("size", true),
		Files:   m.int("files", true),
	}
	if f := m.sub("manifest", true); f != nil {
		r.Manifest = readManifest(f)
		f.close()
	}
	m.entries("pins", func(path, key string, v datamodel.Node) {
		if r.Pins == nil {
			r.Pins = map[Name]cid.Cid{}
		}
		r.Pins[Name(key)] = m.asLink(path, v)
	})
	if o := m.sub("origin", false); o != nil {
		r.Origin = readOrigin(o)
		o.close()
	}
	return r
}

func (r *Release) check(path string, _ *Record) error {
	if err := checkNameVersion(path, r.Name, r.Version); err != nil {
		return err
	}
	if err := checkModule(path+"/module", r.Module); err != nil {
		return err
	}
	if r.Files < 1 || r.Files > MaxFiles {
		return broken("R21", path+"/files", "is %d, not between 1 and %d", r.Files, MaxFiles)
	}
	if r.Size < 0 || r.Size > MaxModuleSize {
		return broken("R21", path+"/size", "is %d, not between 0 and %d", r.Size, int64(MaxModuleSize))
	}
	if err := checkManifest(path+"/manifest", &r.Manifest); err != nil {
		return err
	}
	if len(r.Pins) > MaxMapEntries {
		return broken("R12", path+"/pins", "has %d entries, the limit is %d", len(r.Pins), MaxMapEntries)
	}
	for _, name := range sortedKeys(r.Pins) {
		if err := checkName(string(name)); err != nil {
			return broken("R25", path+"/pins", "module name %q: %v", Clip(string(name)), err)
		}
		if !isModuleCID(r.Pins[name]) {
			return broken("R25", path+"/pins/"+string(name), "is not a module (CIDv1, dag-pb, sha2-256)")
		}
	}
	return checkOrigin(path+"/origin", r.Origin)
}
