package records

import (
	"bytes"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/multiformats/go-multihash"
)

// Decode reads a record from its canonical DAG-CBOR encoding (SPEC.md section
// 4). Everything else is refused with a *FormatError, so that one record has
// one encoding and one id.
func Decode(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, broken("R11", "", "record has %d bytes, the limit is %d", len(b), MaxRecord)
	}
	n, err := decodeCBOR(b, MaxDepth)
	if err != nil {
		return nil, err
	}
	return decodeNode(n, b)
}

// decodeNode turns n, which was decoded from b, into a record.
func decodeNode(n datamodel.Node, b []byte) (*Record, error) {
	r, err := recordFromNode(n)
	if err != nil {
		return nil, err
	}
	again, err := Encode(r)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, broken("R10", "", "record is not in canonical DAG-CBOR")
	}
	return r, nil
}

// ID returns the id of a record with these bytes (SPEC.md section 4.4).
func ID(record []byte) cid.Cid { return blockID(cid.DagCBOR, record) }

func blockID(codec uint64, b []byte) cid.Cid {
	mh, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		panic("records: sha2-256 is not registered: " + err.Error())
	}
	return cid.NewCidV1(codec, mh)
}

func decodeCBOR(b []byte, depth int) (datamodel.Node, error) {
	if err := scan(b, depth); err != nil {
		return nil, err
	}
	nb := basicnode.Prototype.Any.NewBuilder()
	opts := dagcbor.DecodeOptions{AllowLinks: true}
	if err := opts.Decode(nb, bytes.NewReader(b)); err != nil {
		return nil, broken("R10", "", "not DAG-CBOR: %v", err)
	}
	return nb.Build(), nil
}

func recordFromNode(n datamodel.Node) (*Record, error) {
	var err error
	m := readMap(n, "", &err)
	if v := m.int("es", true); err == nil && v != 1 {
		return nil, broken("R13", "es", "is %d; this is format 1", v)
	}
	r := &Record{
		Author: m.fingerprint("author", true),
		Seq:    m.int("seq", true),
		Prev:   m.links("prev"),
		Time:   m.int("time", true),
	}
	body := m.take("body", datamodel.Kind_Map, true)
	m.close()
	if err != nil {
		return nil, err
	}
	r.Body = readBody(body, &err)
	return r, err
}

func readBody(n datamodel.Node, err *error) Body {
	u := readMap(n, "body", err)
	if len(u.values) != 1 && *err == nil {
		u.fail("R19", "", "has %d keys; it must have exactly one", len(u.values))
	}
	for kind, v := range u.values {
		read, ok := bodyReaders[kind]
		if !ok {
			u.fail("R19", "", "has the unknown kind %q", clip(kind))
			return nil
		}
		m := readMap(v, "body/"+kind, err)
		b := read(m)
		m.close()
		return b
	}
	return nil
}

var bodyReaders = map[string]func(*mapReader) Body{
	"release":   readRelease,
	"tag":       readTag,
	"notice":    readNotice,
	"endorse":   readEndorse,
	"delegate":  readDelegate,
	"successor": readSuccessor,
	"heartbeat": readHeartbeat,
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
	m.list("signatures", false, func(path string, v datamodel.Node) {
		s := readMap(v, m.at(path), m.err)
		o.Signatures = append(o.Signatures, OriginSignature{KeyID: s.string("keyid", true), Signature: s.bytes("sig", true)})
		s.close()
	})
	return o
}

func readTag(m *mapReader) Body {
	return &Tag{
		Name:    Name(m.string("name", true)),
		Tag:     m.string("tag", true),
		Version: Version(m.string("version", false)),
	}
}

func readNotice(m *mapReader) Body {
	return &Notice{
		Name:     Name(m.string("name", true)),
		Range:    m.string("range", false),
		Record:   m.link("record", false),
		NoticeOf: m.string("kind", true),
		Text:     m.string("text", true),
		Severity: m.string("severity", false),
		Fixed:    m.string("fixed", false),
		Refs:     m.strings("refs"),
	}
}

func readEndorse(m *mapReader) Body {
	return &Endorse{
		Name:    Name(m.string("name", true)),
		Version: Version(m.string("version", true)),
		Module:  m.link("module", true),
		Claim:   m.string("claim", true),
		Text:    m.string("text", false),
	}
}

func readDelegate(m *mapReader) Body {
	d := &Delegate{To: m.fingerprint("to", true)}
	m.list("scopes", true, func(path string, v datamodel.Node) {
		s, err := v.AsString()
		if err != nil {
			m.fail("R14", path, "is a %v, not a string", v.Kind())
			return
		}
		d.Scopes = append(d.Scopes, Scope(s))
	})
	d.Depth = m.int("depth", true)
	d.Until = m.int("until", true)
	return d
}

func readSuccessor(m *mapReader) Body {
	return &Successor{To: m.fingerprint("to", false), From: m.fingerprint("from", false)}
}

func readHeartbeat(m *mapReader) Body {
	return &Heartbeat{Next: m.int("next", true)}
}
