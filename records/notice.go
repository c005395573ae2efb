package records

import (
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// Notice kinds.
const (
	Deprecated = "deprecated"
	Yanked     = "yanked"
	Advisory   = "advisory"
)

// Notice says something about versions of a name or about one record. Exactly
// one of Range and Record is set. Yanked with a Record of the same author takes
// back what that record said, whatever its body.
type Notice struct {
	Name     Name
	Range    string   // an npm version range
	Record   cid.Cid  // one record
	NoticeOf string   // Deprecated, Yanked or Advisory
	Text     string   // for people; may be ""
	Severity string   // low, moderate, high or critical; advisories only
	Fixed    string   // a range that is no longer affected; advisories only
	Refs     []string // identifiers and addresses: "CVE-2026-1234"; advisories only
}

// Kind returns "notice".
func (*Notice) Kind() string { return "notice" }

func (n *Notice) encode(m datamodel.MapAssembler) {
	putString(m, "name", string(n.Name))
	putOptional(m, "range", n.Range)
	putOptionalLink(m, "record", n.Record)
	putString(m, "kind", n.NoticeOf)
	putString(m, "text", n.Text)
	putOptional(m, "severity", n.Severity)
	putOptional(m, "fixed", n.Fixed)
	putStrings(m, "refs", n.Refs)
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

func (n *Notice) check(path string, _ *Record) error {
	if _, err := ParseName(string(n.Name)); err != nil {
		return within(path+"/name", err)
	}
	if (n.Range == "") != n.Record.Defined() {
		return broken("R28", path, "must have exactly one of \"range\" and \"record\"")
	}
	if n.Record.Defined() {
		if !isRecordID(n.Record) {
			return broken("R28", path+"/record", "is not a record id (CIDv1, dag-cbor, sha2-256)")
		}
	}
	for _, t := range []struct{ field, text string }{{"range", n.Range}, {"text", n.Text}, {"fixed", n.Fixed}} {
		if err := CheckText(t.text, MaxLongText); err != nil {
			return within(path+"/"+t.field, err)
		}
	}
	switch n.NoticeOf {
	case Deprecated, Yanked:
		if n.Severity != "" || n.Fixed != "" || len(n.Refs) > 0 {
			return broken("R29", path, "has a severity, a fixed range or references, which only an advisory has")
		}
	case Advisory:
		switch n.Severity {
		case "", "low", "moderate", "high", "critical":
		default:
			return broken("R29", path+"/severity", "is %q, not low, moderate, high or critical", Clip(n.Severity))
		}
		if len(n.Refs) > MaxRefs {
			return broken("R29", path+"/refs", "has %d items, the limit is %d", len(n.Refs), MaxRefs)
		}
		return checkList(path+"/refs", n.Refs)
	default:
		return broken("R29", path+"/kind", "is %q, not deprecated, yanked or advisory", Clip(n.NoticeOf))
	}
	return nil
}
