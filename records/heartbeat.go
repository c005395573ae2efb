package records

import (
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
)

// Heartbeat says that the author is alive and has said nothing else.
type Heartbeat struct {
	Next int64 // Unix seconds: another record will exist by then
}

// Kind returns "heartbeat".
func (*Heartbeat) Kind() string { return "heartbeat" }

func (h *Heartbeat) encode(m datamodel.MapAssembler) {
	qp.MapEntry(m, "next", qp.Int(h.Next))
}

func readHeartbeat(m *mapReader) Body {
	return &Heartbeat{Next: m.int("next", true)}
}

func (h *Heartbeat) check(path string, r *Record) error {
	if h.Next <= r.Time || h.Next > MaxTime {
		return broken("R33", path+"/next", "is %d, not after the record's time", h.Next)
	}
	return nil
}
