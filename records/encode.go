package records

import (
	"bytes"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

// Encode checks r against SPEC.md section 4 and returns its one encoding. The
// error is a *FormatError.
func Encode(r *Record) ([]byte, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	b, err := encodeCBOR(buildMap(func(m datamodel.MapAssembler) {
		qp.MapEntry(m, "es", qp.Int(1))
		putBytes(m, "author", r.Author.Bytes())
		qp.MapEntry(m, "seq", qp.Int(r.Seq))
		qp.MapEntry(m, "prev", qp.List(int64(len(r.Prev)), func(l datamodel.ListAssembler) {
			for _, c := range r.Prev {
				qp.ListEntry(l, qp.Link(cidlink.Link{Cid: c}))
			}
		}))
		qp.MapEntry(m, "time", qp.Int(r.Time))
		putMap(m, "body", func(u datamodel.MapAssembler) {
			putMap(u, r.Body.Kind(), r.Body.encode)
		})
	}))
	if err != nil {
		return nil, broken("R10", "", "%v", err)
	}
	if len(b) > MaxRecord {
		return nil, broken("R11", "", "record has %d bytes, the limit is %d", len(b), MaxRecord)
	}
	return b, nil
}

func buildMap(f func(datamodel.MapAssembler)) (datamodel.Node, error) {
	return qp.BuildMap(basicnode.Prototype.Any, -1, f)
}

func encodeCBOR(n datamodel.Node, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := dagcbor.Encode(n, &buf); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func putString(m datamodel.MapAssembler, k, v string) { qp.MapEntry(m, k, qp.String(v)) }

func putBytes(m datamodel.MapAssembler, k string, v []byte) { qp.MapEntry(m, k, qp.Bytes(v)) }

func putOptional(m datamodel.MapAssembler, k, v string) {
	if v != "" {
		putString(m, k, v)
	}
}

func putFlag(m datamodel.MapAssembler, k string, v bool) {
	if v {
		qp.MapEntry(m, k, qp.Bool(true))
	}
}

func putOptionalLink(m datamodel.MapAssembler, k string, c cid.Cid) {
	if c.Defined() {
		putLink(m, k, c)
	}
}

func putLink(m datamodel.MapAssembler, k string, c cid.Cid) {
	qp.MapEntry(m, k, qp.Link(cidlink.Link{Cid: c}))
}

func putMap(m datamodel.MapAssembler, k string, f func(datamodel.MapAssembler)) {
	qp.MapEntry(m, k, qp.Map(-1, f))
}

func putStrings(m datamodel.MapAssembler, k string, v []string) {
	if len(v) == 0 {
		return
	}
	qp.MapEntry(m, k, qp.List(int64(len(v)), func(l datamodel.ListAssembler) {
		for _, s := range v {
			qp.ListEntry(l, qp.String(s))
		}
	}))
}

func putStringMap(m datamodel.MapAssembler, k string, v map[string]string) {
	if len(v) == 0 {
		return
	}
	putMap(m, k, func(f datamodel.MapAssembler) {
		for key, s := range v {
			putString(f, key, s)
		}
	})
}
