package records

import "encoding/binary"

// maxContainers is more maps and lists than any record has; the schema allows 28
// with its envelope.
const maxContainers = 32

// scan walks the heads of one CBOR item without allocating and refuses what
// would make the decoder work hard for nothing: deep nesting, many or huge maps
// and lists, lengths beyond the input. Whether b is canonical it does not ask.
func scan(b []byte, depth int) error {
	left := make([]uint64, 1, MaxDepth+2) // items still to come, by level
	left[0] = 1
	containers := 0
	for len(left) > 0 {
		major, arg, rest, ok := cutHead(b)
		if !ok {
			return broken("R10", "", "not DAG-CBOR: ends within an item, or has an indefinite length")
		}
		b = rest
		if major == majorTag {
			continue // the tagged item counts, not the tag
		}
		left[len(left)-1]--
		items := arg
		switch major {
		case majorBytes, majorString:
			if arg > uint64(len(b)) {
				return broken("R10", "", "not DAG-CBOR: has a length beyond its end")
			}
			b = b[arg:]
		case majorMap, majorList:
			limit := uint64(MaxListItems)
			if major == majorMap {
				limit, items = MaxMapEntries, 2*arg
			}
			if arg > limit {
				return broken("R12", "", "has a map or list of %d entries, the limit is %d", arg, limit)
			}
			if len(left) > depth {
				return broken("R12", "", "nests deeper than %d levels", depth)
			}
			if containers++; containers > maxContainers {
				return broken("R14", "", "has more than %d maps and lists", maxContainers)
			}
			left = append(left, items)
		}
		for len(left) > 0 && left[len(left)-1] == 0 {
			left = left[:len(left)-1]
		}
	}
	if len(b) > 0 {
		return broken("R10", "", "not DAG-CBOR: has %d bytes after its end", len(b))
	}
	return nil
}

// CBOR major types (RFC 8949 section 3.1).
const (
	majorBytes  = 2
	majorString = 3
	majorList   = 4
	majorMap    = 5
	majorTag    = 6
)

// cutHead takes the head of a CBOR item off b.
func cutHead(b []byte) (major byte, arg uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, 0, nil, false
	}
	major, info := b[0]>>5, b[0]&31
	b = b[1:]
	if info < 24 {
		return major, uint64(info), b, true
	}
	n := 1 << (info - 24) // bytes of the argument
	if info > 27 || len(b) < n {
		return 0, 0, nil, false
	}
	var word [8]byte
	copy(word[8-n:], b)
	return major, binary.BigEndian.Uint64(word[:]), b[n:], true
}
