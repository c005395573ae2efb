package records

import (
	"fmt"
	"reflect"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
)

// Manifest is what search and resolution need of a module's package.json.
// Package modules derives it; it is never written by hand.
type Manifest struct {
	Description          string
	Keywords             []string
	License              string
	Homepage             string
	Repository           string
	Bin                  map[string]string // command -> path in the module
	Engines              map[string]string
	OS                   []string
	CPU                  []string
	Libc                 []string
	Dependencies         map[string]string // name -> range
	OptionalDependencies map[string]string
	PeerDependencies     map[string]string
	OptionalPeers        []string // names whose absence is fine; not all need be in PeerDependencies
	Bundled              []string // names whose modules are inside this one
	Scripts              bool     // has a script that npm would run at install
	Shrinkwrap           bool     // has an npm-shrinkwrap.json, which decides its dependencies
}

// Difference returns the name of the first field in which two manifests differ, or "";
// nothing and an empty list or map are the same.
func (m *Manifest) Difference(other *Manifest) string {
	a, b := reflect.ValueOf(m).Elem(), reflect.ValueOf(other).Elem()
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if k := x.Kind(); (k == reflect.Map || k == reflect.Slice) && x.Len() == 0 && y.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return a.Type().Field(i).Name
		}
	}
	return ""
}

// Origin says which registry package an imported module was made from.
type Origin struct {
	Registry   string  // the registry's name
	Tarball    cid.Cid // the original tarball, as UnixFS file or raw block
	SHA512     []byte  // 64 bytes, of the original tarball
	Published  int64   // when the registry says that it was published, in Unix seconds; 0 for not known
	Signatures []OriginSignature
}

// OriginSignature is the registry's own signature over the package.
type OriginSignature struct {
	KeyID     string
	Signature []byte
}

func putManifest(m datamodel.MapAssembler, f *Manifest) {
	putOptional(m, "description", f.Description)
	putStrings(m, "keywords", f.Keywords)
	putOptional(m, "license", f.License)
	putOptional(m, "homepage", f.Homepage)
	putOptional(m, "repository", f.Repository)
	putStringMap(m, "bin", f.Bin)
	putStringMap(m, "engines", f.Engines)
	putStrings(m, "os", f.OS)
	putStrings(m, "cpu", f.CPU)
	putStrings(m, "libc", f.Libc)
	putStringMap(m, "dependencies", f.Dependencies)
	putStringMap(m, "optionalDependencies", f.OptionalDependencies)
	putStringMap(m, "peerDependencies", f.PeerDependencies)
	putStrings(m, "optionalPeers", f.OptionalPeers)
	putStrings(m, "bundled", f.Bundled)
	putFlag(m, "scripts", f.Scripts)
	putFlag(m, "shrinkwrap", f.Shrinkwrap)
}

func putOrigin(m datamodel.MapAssembler, o *Origin) {
	putString(m, "registry", o.Registry)
	putLink(m, "tarball", o.Tarball)
	putBytes(m, "sha512", o.SHA512)
	if o.Published != 0 {
		qp.MapEntry(m, "published", qp.Int(o.Published))
	}
	if len(o.Signatures) == 0 {
		return
	}
	qp.MapEntry(m, "signatures", qp.List(int64(len(o.Signatures)), func(l datamodel.ListAssembler) {
		for _, s := range o.Signatures {
			qp.ListEntry(l, qp.Map(2, func(f datamodel.MapAssembler) {
				putString(f, "keyid", s.KeyID)
				putBytes(f, "sig", s.Signature)
			}))
		}
	}))
}

func readManifest(m *mapReader) Manifest {
	return Manifest{
		Description:          m.string("description", false),
		Keywords:             m.strings("keywords"),
		License:              m.string("license", false),
		Homepage:             m.string("homepage", false),
		Repository:           m.string("repository", false),
		Bin:                  m.stringMap("bin"),
		Engines:              m.stringMap("engines"),
		OS:                   m.strings("os"),
		CPU:                  m.strings("cpu"),
		Libc:                 m.strings("libc"),
		Dependencies:         m.stringMap("dependencies"),
		OptionalDependencies: m.stringMap("optionalDependencies"),
		PeerDependencies:     m.stringMap("peerDependencies"),
		OptionalPeers:        m.strings("optionalPeers"),
		Bundled:              m.strings("bundled"),
		Scripts:              m.flag("scripts"),
		Shrinkwrap:           m.flag("shrinkwrap"),
	}
}

func readOrigin(m *mapReader) *Origin {
	o := &Origin{
		Registry: m.string("registry", true),
		Tarball:  m.link("tarball", true),
		SHA512:   m.bytes("sha512", true),
	}
	if _, there := m.values["published"]; there {
		if o.Published = m.int("published", true); o.Published == 0 {
			m.fail("R26", "published", "is 0, not between 1 and %d", int64(MaxTime))
		}
	}
	m.list("signatures", false, func(path string, v datamodel.Node) {
		s := readMap(v, m.at(path), m.err)
		o.Signatures = append(o.Signatures, OriginSignature{KeyID: s.string("keyid", true), Signature: s.bytes("sig", true)})
		s.close()
	})
	return o
}

func checkManifest(path string, m *Manifest) error {
	for _, t := range []struct {
		field, text string
	}{{"description", m.Description}, {"license", m.License}, {"homepage", m.Homepage}, {"repository", m.Repository}} {
		if err := CheckText(t.text, MaxText); err != nil {
			return within(path+"/"+t.field, err)
		}
	}
	for _, l := range []struct {
		field string
		items []string
		names bool // a set of module names, and so sorted
	}{
		{"keywords", m.Keywords, false}, {"os", m.OS, false}, {"cpu", m.CPU, false}, {"libc", m.Libc, false},
		{"optionalPeers", m.OptionalPeers, true}, {"bundled", m.Bundled, true},
	} {
		if err := checkList(path+"/"+l.field, l.items); err != nil {
			return err
		}
		if !l.names {
			continue
		}
		for i, s := range l.items {
			if err := checkDependencyName(path+"/"+l.field, s); err != nil {
				return err
			}
			if i > 0 && l.items[i-1] >= s {
				return broken("R22", path+"/"+l.field, "is not sorted by bytes without duplicates")
			}
		}
	}
	if err := checkBin(path+"/bin", m.Bin); err != nil {
		return err
	}
	if err := checkTextMap(path+"/engines", m.Engines, MaxText); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		deps  map[string]string
	}{
		{"dependencies", m.Dependencies}, {"optionalDependencies", m.OptionalDependencies}, {"peerDependencies", m.PeerDependencies},
	} {
		if err := checkTextMap(path+"/"+d.field, d.deps, MaxLongText); err != nil {
			return err
		}
		for _, name := range sortedKeys(d.deps) {
			if err := checkDependencyName(path+"/"+d.field, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDependencyName(path, name string) error {
	if !IsDependencyName(name) {
		return broken("R24", path, "%q cannot be the name of a dependency", Clip(name))
	}
	return nil
}

func checkBin(path string, bin map[string]string) error {
	if len(bin) > MaxMapEntries {
		return broken("R12", path, "has %d entries, the limit is %d", len(bin), MaxMapEntries)
	}
	for _, command := range sortedKeys(bin) {
		if err := CheckCommand(command); err != nil {
			return within(path, err)
		}
		if err := CheckPath(bin[command]); err != nil {
			return within(path+"/"+command, err)
		}
	}
	return nil
}

func checkOrigin(path string, o *Origin) error {
	if o == nil {
		return nil
	}
	if o.Registry == "" {
		return broken("R26", path+"/registry", "is empty")
	}
	if err := CheckText(o.Registry, MaxText); err != nil {
		return within(path+"/registry", err)
	}
	if !isCID(o.Tarball, cid.DagProtobuf) && !isCID(o.Tarball, cid.Raw) {
		return broken("R26", path+"/tarball", "is not a file (CIDv1, dag-pb or raw, sha2-256)")
	}
	if len(o.SHA512) != 64 {
		return broken("R26", path+"/sha512", "has %d bytes, it must have 64", len(o.SHA512))
	}
	if o.Published < 0 || o.Published > MaxTime {
		return broken("R26", path+"/published", "is %d, not between 1 and %d", o.Published, int64(MaxTime))
	}
	if len(o.Signatures) > MaxOriginSigs {
		return broken("R26", path+"/signatures", "has %d items, the limit is %d", len(o.Signatures), MaxOriginSigs)
	}
	for i, s := range o.Signatures {
		at := fmt.Sprintf("%s/signatures/%d", path, i)
		if err := CheckText(s.KeyID, MaxText); err != nil {
			return within(at+"/keyid", err)
		}
		if s.KeyID == "" || len(s.Signature) == 0 || len(s.Signature) > MaxSignature {
			return broken("R26", at, "has an empty key id, or a signature that does not have 1 to %d bytes", MaxSignature)
		}
	}
	return nil
}
