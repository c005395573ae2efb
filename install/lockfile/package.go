package lockfile

import (
	"reflect"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

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

	// Link, when set, is the path of the same package elsewhere, which Path links to
	// ([I17], [I123]). All else is as there.
	Link     string
	Optional bool // only optional dependencies lead here

	// Manifest is what an installation needs of the release's: the fields that [I10]
	// lists. The others are empty.
	records.Manifest
	Pins map[records.Name]cid.Cid // as CIDv1
}

// New returns what a lockfile keeps of a release, without a place, a record and a
// signer.
func New(r *records.Release) *Package {
	m := r.Manifest
	p := &Package{
		Name: r.Name, Version: r.Version, Module: dagPB(r.Module), Size: r.Size, Files: r.Files,
		Manifest: records.Manifest{
			Scripts: m.Scripts, Bin: m.Bin, Engines: m.Engines,
			Dependencies: m.Dependencies, OptionalDependencies: m.OptionalDependencies,
			PeerDependencies: m.PeerDependencies, OptionalPeers: m.OptionalPeers, Bundled: m.Bundled,
			OS: m.OS, CPU: m.CPU, Libc: m.Libc,
		},
	}
	if r.Origin != nil {
		p.SHA512 = r.Origin.SHA512
	}
	for name, c := range r.Pins {
		if p.Pins == nil {
			p.Pins = map[records.Name]cid.Cid{}
		}
		p.Pins[name] = dagPB(c)
	}
	p.normalize()
	return p
}

func dagPB(c cid.Cid) cid.Cid { return cid.NewCidV1(cid.DagProtobuf, c.Hash()) }

// Clone returns a copy of p for another place.
func (p *Package) Clone() *Package {
	c := *p
	c.Path, c.Link, c.Optional = "", "", false
	return &c
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

// Differs returns the field of what a release says in which p and q differ, with both
// values, or "". Place, record, signer and integrity are not compared.
func (p *Package) Differs(q *Package) (field string, here, there any) {
	a, b := reflect.ValueOf(*p), reflect.ValueOf(*q)
	for _, f := range reflect.VisibleFields(a.Type()) {
		switch {
		case f.Anonymous:
			continue
		case f.Name == "Path" || f.Name == "Link" || f.Name == "Optional" || f.Name == "Record" || f.Name == "Signer" || f.Name == "SHA512":
			continue
		}
		here, there = a.FieldByIndex(f.Index).Interface(), b.FieldByIndex(f.Index).Interface()
		if !reflect.DeepEqual(here, there) {
			return f.Name, here, there
		}
	}
	return "", nil, nil
}

// normalize makes what is empty absent, so that a package has one encoding.
func (p *Package) normalize() {
	for _, m := range []*map[string]string{&p.Bin, &p.Dependencies, &p.OptionalDependencies, &p.PeerDependencies, &p.Engines} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	for _, l := range []*[]string{&p.OptionalPeers, &p.Bundled, &p.OS, &p.CPU, &p.Libc} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	if len(p.Pins) == 0 {
		p.Pins = nil
	}
}
