package records

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"sort"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/rogpeppe/go-internal/txtar"
)

// The generators do not use the encoder that they test: a tree of these types is
// written as CBOR just as it stands.
type (
	fields  map[string]any // a map with its keys in canonical order
	entries []any          // a map: key, value, key, value, just as they stand
	list    []any
	raw     string // CBOR bytes
)

func appendTree(b []byte, v any) []byte {
	switch v := v.(type) {
	case fields:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool {
			if len(keys[i]) != len(keys[j]) {
				return len(keys[i]) < len(keys[j])
			}
			return keys[i] < keys[j]
		})
		b = appendHead(b, 5, uint64(len(keys)))
		for _, k := range keys {
			b = appendTree(appendTree(b, k), v[k])
		}
		return b
	case entries:
		b = appendHead(b, 5, uint64(len(v)/2))
		for _, e := range v {
			b = appendTree(b, e)
		}
		return b
	case list:
		b = appendHead(b, 4, uint64(len(v)))
		for _, e := range v {
			b = appendTree(b, e)
		}
		return b
	case string:
		return append(appendHead(b, 3, uint64(len(v))), v...)
	case []byte:
		return append(appendHead(b, 2, uint64(len(v))), v...)
	case int:
		if v < 0 {
			return appendHead(b, 1, uint64(-1-v))
		}
		return appendHead(b, 0, uint64(v))
	case bool:
		if v {
			return append(b, 0xf5)
		}
		return append(b, 0xf4)
	case nil:
		return append(b, 0xf6)
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(v))
	case cid.Cid:
		return appendTree(append(b, 0xd8, 42), append([]byte{0}, v.Bytes()...))
	case raw:
		return append(b, v...)
	}
	panic("no such tree")
}

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 1<<8:
		return append(b, major<<5|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major<<5|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major<<5|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major<<5|27), n)
}

// set puts v where path leads in a tree of fields and lists of them.
func set(tree fields, path string, v any) fields {
	at, last := walk(tree, path)
	at[last] = v
	return tree
}

func unset(tree fields, path string) fields {
	at, last := walk(tree, path)
	delete(at, last)
	return tree
}

func walk(tree fields, path string) (fields, string) {
	for {
		first, rest, more := strings.Cut(path, "/")
		if !more {
			return tree, first
		}
		tree, path = tree[first].(fields), rest
	}
}

// inOrder returns the entries of a map, for a generator to disturb.
func inOrder(tree fields, keys ...string) entries {
	var out entries
	for _, k := range keys {
		out = append(out, k, tree[k])
	}
	return out
}

// readable renders CBOR as indented DAG-JSON; not everything can be.
func readable(b []byte) ([]byte, bool) {
	nb := basicnode.Prototype.Any.NewBuilder()
	if err := (dagcbor.DecodeOptions{AllowLinks: true}).Decode(nb, bytes.NewReader(b)); err != nil {
		return nil, false
	}
	var text, out bytes.Buffer
	if err := dagjson.Encode(nb.Build(), &text); err != nil {
		return nil, false
	}
	if err := json.Indent(&out, text.Bytes(), "", "  "); err != nil {
		return nil, false
	}
	out.WriteByte('\n')
	return out.Bytes(), true
}

// section makes a section of hexadecimal digits, 64 a line.
func section(name string, b []byte) txtar.File {
	digits := hex.EncodeToString(b)
	var out strings.Builder
	for len(digits) > 64 {
		out.WriteString(digits[:64] + "\n")
		digits = digits[64:]
	}
	return txtar.File{Name: name, Data: []byte(out.String() + digits + "\n")}
}

func line(name, text string) txtar.File { return txtar.File{Name: name, Data: []byte(text + "\n")} }
