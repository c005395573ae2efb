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
			putMap(u, r.Body.Kind(), func(f datamodel.MapAssembler) { putBody(f, r.Body) })
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

func putBody(m datamodel.MapAssembler, b Body) {
	switch b := b.(type) {
	case *Release:
		putRelease(m, b)
	case *Tag:
		putString(m, "name", string(b.Name))
		putString(m, "tag", b.Tag)
		putOptional(m, "version", string(b.Version))
	case *Notice:
		putString(m, "name", string(b.Name))
		putOptional(m, "range", b.Range)
		putOptionalLink(m, "record", b.Record)
		putString(m, "kind", b.NoticeOf)
		putString(m, "text", b.Text)
		putOptional(m, "severity", b.Severity)
		putOptional(m, "fixed", b.Fixed)
		putStrings(m, "refs", b.Refs)
	case *Endorse:
		putString(m, "name", string(b.Name))
		putString(m, "version", string(b.Version))
		putLink(m, "module", b.Module)
		putString(m, "claim", b.Claim)
		putOptional(m, "text", b.Text)
	case *Delegate:
		putBytes(m, "to", b.To.Bytes())
		qp.MapEntry(m, "scopes", qp.List(int64(len(b.Scopes)), func(l datamodel.ListAssembler) {
			for _, s := range b.Scopes {
				qp.ListEntry(l, qp.String(string(s)))
			}
		}))
		qp.MapEntry(m, "depth", qp.Int(b.Depth))
		qp.MapEntry(m, "until", qp.Int(b.Until))
	case *Successor:
		if !b.To.IsZero() {
			putBytes(m, "to", b.To.Bytes())
		}
		if !b.From.IsZero() {
			putBytes(m, "from", b.From.Bytes())
		}
	case *Heartbeat:
		qp.MapEntry(m, "next", qp.Int(b.Next))
	}
}

func putRelease(m datamodel.MapAssembler, r *Release) {
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
