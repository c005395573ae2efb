package records

import (
	"fmt"

	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
)

// Delegate lets another key speak for this one, within scopes. Without Scopes it
// takes an earlier delegation back, and Depth and Until are 0.
type Delegate struct {
	To     Fingerprint
	Scopes []Scope // sorted
	Depth  int64   // how many further delegations To may chain
	Until  int64   // Unix seconds, after the record's time
}

// Kind returns "delegate".
func (*Delegate) Kind() string { return "delegate" }

func (d *Delegate) encode(m datamodel.MapAssembler) {
	putBytes(m, "to", d.To.Bytes())
	qp.MapEntry(m, "scopes", qp.List(int64(len(d.Scopes)), func(l datamodel.ListAssembler) {
		for _, s := range d.Scopes {
			qp.ListEntry(l, qp.String(string(s)))
		}
	}))
	qp.MapEntry(m, "depth", qp.Int(d.Depth))
	qp.MapEntry(m, "until", qp.Int(d.Until))
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

func (d *Delegate) check(path string, r *Record) error {
	if d.To.IsZero() {
		return broken("R7", path+"/to", "is missing")
	}
	if d.To == r.Author {
		return broken("R31", path+"/to", "is the record's own author")
	}
	if len(d.Scopes) == 0 && (d.Depth != 0 || d.Until != 0) {
		return broken("R31", path, "takes a delegation back, so its depth and until must be 0")
	}
	if len(d.Scopes) > MaxScopes {
		return broken("R31", path+"/scopes", "has %d items, the limit is %d", len(d.Scopes), MaxScopes)
	}
	for i, s := range d.Scopes {
		if err := checkScope(string(s)); err != nil {
			return within(fmt.Sprintf("%s/scopes/%d", path, i), fmt.Errorf("scope %q: %w", Clip(string(s)), err))
		}
		if i > 0 && d.Scopes[i-1] >= s {
			return broken("R31", path+"/scopes", "is not sorted by bytes without duplicates")
		}
	}
	if d.Depth < 0 || d.Depth > MaxDepthGrant {
		return broken("R31", path+"/depth", "is %d, not between 0 and %d", d.Depth, MaxDepthGrant)
	}
	if len(d.Scopes) > 0 && (d.Until <= r.Time || d.Until > MaxTime) {
		return broken("R31", path+"/until", "is %d, not after the record's time", d.Until)
	}
	return nil
}
