package records

import (
	"github.com/ipld/go-ipld-prime/datamodel"
)

// Successor rotates a key: the old key names the new one in To, and the new key
// names the old one in From. Exactly one is set; the rotation holds when both
// records exist.
type Successor struct {
	To   Fingerprint
	From Fingerprint
}

// Kind returns "successor".
func (*Successor) Kind() string { return "successor" }

func (s *Successor) encode(m datamodel.MapAssembler) {
	if !s.To.IsZero() {
		putBytes(m, "to", s.To.Bytes())
	}
	if !s.From.IsZero() {
		putBytes(m, "from", s.From.Bytes())
	}
}

func readSuccessor(m *mapReader) Body {
	return &Successor{To: m.fingerprint("to", false), From: m.fingerprint("from", false)}
}

func (s *Successor) check(path string, r *Record) error {
	if s.To.IsZero() == s.From.IsZero() {
		return broken("R32", path, "must have exactly one of \"to\" and \"from\"")
	}
	if s.To == r.Author || s.From == r.Author {
		return broken("R32", path, "names its own author")
	}
	return nil
}
