package records

import (
	"fmt"
	"sort"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
)

// A mapReader takes the fields of one IPLD map by name and remembers the first
// thing that was wrong, so that readers need no error check after each field.
type mapReader struct {
	path   string
	values map[string]datamodel.Node
	err    *error // shared by all readers of one record
}

func readMap(n datamodel.Node, path string, err *error) *mapReader {
	m := &mapReader{path: path, err: err, values: map[string]datamodel.Node{}}
	if *err != nil {
		return m
	}
	if n.Kind() != datamodel.Kind_Map {
		m.fail("R14", "", "is a %v, not a map", n.Kind())
		return m
	}
	for it := n.MapIterator(); !it.Done(); {
		k, v, e := it.Next()
		if e != nil {
			m.fail("R10", "", "%v", e)
			return m
		}
		s, _ := k.AsString()
		m.values[s] = v
	}
	return m
}

func (m *mapReader) fail(rule, field, format string, args ...any) {
	if *m.err == nil {
		*m.err = broken(rule, m.at(field), format, args...)
	}
}

func (m *mapReader) at(field string) string {
	switch {
	case m.path == "":
		return field
	case field == "":
		return m.path
	}
	return m.path + "/" + field
}

// take returns the field's value and marks it as read.
func (m *mapReader) take(field string, kind datamodel.Kind, required bool) datamodel.Node {
	v, ok := m.values[field]
	delete(m.values, field)
	if *m.err != nil {
		return nil
	}
	if !ok {
		if required {
			m.fail("R14", field, "is missing")
		}
		return nil
	}
	if v.Kind() != kind {
		m.fail("R14", field, "is a %v, not a %v", v.Kind(), kind)
		return nil
	}
	return v
}

// close fails when the map has a field that nobody took.
func (m *mapReader) close() {
	var left []string
	for k := range m.values {
		left = append(left, k)
	}
	if len(left) > 0 {
		sort.Strings(left)
		m.fail("R14", "", "has the unknown field %q", Clip(left[0]))
	}
}

func (m *mapReader) string(field string, required bool) string {
	v := m.take(field, datamodel.Kind_String, required)
	if v == nil {
		return ""
	}
	s, _ := v.AsString()
	if s == "" && !required {
		m.empty(field)
	}
	return s
}

// empty refuses an optional field that says nothing: it must be absent.
func (m *mapReader) empty(field string) {
	m.fail("R15", field, "is empty; an optional field that says nothing is absent")
}

func (m *mapReader) bytes(field string, required bool) []byte {
	if v := m.take(field, datamodel.Kind_Bytes, required); v != nil {
		b, _ := v.AsBytes()
		return b
	}
	return nil
}

func (m *mapReader) int(field string, required bool) int64 {
	if v := m.take(field, datamodel.Kind_Int, required); v != nil {
		i, err := v.AsInt()
		if err != nil {
			m.fail("R14", field, "does not fit in 64 bits with a sign")
		}
		return i
	}
	return 0
}

// flag reads an optional flag, which is absent when false.
func (m *mapReader) flag(field string) bool {
	v := m.take(field, datamodel.Kind_Bool, false)
	if v == nil {
		return false
	}
	b, _ := v.AsBool()
	if !b {
		m.empty(field)
	}
	return b
}

func (m *mapReader) link(field string, required bool) cid.Cid {
	if v := m.take(field, datamodel.Kind_Link, required); v != nil {
		return m.asLink(field, v)
	}
	return cid.Undef
}

func (m *mapReader) asLink(field string, v datamodel.Node) cid.Cid {
	l, err := v.AsLink()
	if err != nil {
		m.fail("R14", field, "is a %v, not a link", v.Kind())
		return cid.Undef
	}
	c, ok := l.(cidlink.Link)
	if !ok {
		m.fail("R14", field, "is not a CID")
		return cid.Undef
	}
	return c.Cid
}

func (m *mapReader) fingerprint(field string, required bool) Fingerprint {
	v := m.take(field, datamodel.Kind_Bytes, required)
	if v == nil {
		return Fingerprint{}
	}
	b, _ := v.AsBytes()
	f, err := FingerprintFromBytes(b)
	if err != nil {
		m.fail("R7", field, "%v", err)
	}
	return f
}

func (m *mapReader) list(field string, required bool, each func(path string, v datamodel.Node)) {
	v := m.take(field, datamodel.Kind_List, required)
	if v == nil {
		return
	}
	if v.Length() == 0 && !required {
		m.empty(field)
	}
	for it := v.ListIterator(); !it.Done() && *m.err == nil; {
		i, item, err := it.Next()
		if err != nil {
			m.fail("R10", field, "%v", err)
			return
		}
		each(fmt.Sprintf("%s/%d", field, i), item)
	}
}

func (m *mapReader) strings(field string) []string {
	var out []string
	m.list(field, false, func(path string, v datamodel.Node) {
		s, err := v.AsString()
		if err != nil {
			m.fail("R14", path, "is a %v, not a string", v.Kind())
			return
		}
		out = append(out, s)
	})
	return out
}

func (m *mapReader) links(field string) []cid.Cid {
	var out []cid.Cid
	m.list(field, true, func(path string, v datamodel.Node) { out = append(out, m.asLink(path, v)) })
	return out
}

// entries calls each for every entry of an optional map.
func (m *mapReader) entries(field string, each func(path, key string, v datamodel.Node)) {
	v := m.take(field, datamodel.Kind_Map, false)
	if v == nil {
		return
	}
	if v.Length() == 0 {
		m.empty(field)
	}
	inner := readMap(v, m.at(field), m.err)
	for k, item := range inner.values {
		each(field+"/"+k, k, item)
	}
}

func (m *mapReader) stringMap(field string) map[string]string {
	var out map[string]string
	m.entries(field, func(path, key string, v datamodel.Node) {
		s, err := v.AsString()
		if err != nil {
			m.fail("R14", path, "is a %v, not a string", v.Kind())
			return
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = s
	})
	return out
}

func (m *mapReader) sub(field string, required bool) *mapReader {
	v := m.take(field, datamodel.Kind_Map, required)
	if v == nil {
		return nil
	}
	return readMap(v, m.at(field), m.err)
}
