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
		k, ok := kinds[kind]
		if !ok {
			u.fail("R19", "", "has the unknown kind %q", Clip(kind))
			return nil
		}
		m := readMap(v, "body/"+kind, err)
		b := k.read(m)
		m.close()
		return b
	}
	return nil
}
