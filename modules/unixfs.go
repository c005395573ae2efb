package modules

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of UnixFS nodes.
const (
	typeRaw       = 0
	typeDirectory = 1
	typeFile      = 2
	typeMetadata  = 3
	typeSymlink   = 4
	typeHAMT      = 5
)

// hashMurmur3 is the multicodec of the hash that places names in a HAMT.
const hashMurmur3 = 0x22

// An fsNode is the UnixFS message in the data of a DAG-PB block.
type fsNode struct {
	kind       uint64
	data       []byte
	hasData    bool
	fileSize   uint64
	hasSize    bool
	blockSizes []uint64
	hashType   uint64
	fanout     uint64
	mode       uint64
}

// encode writes the fields that are set, in the order of their numbers.
func (f *fsNode) encode() []byte {
	b := []byte{1<<3 | wireVarint, byte(f.kind)}
	if f.hasData {
		b = appendBytes(b, 2<<3|wireBytes, string(f.data))
	}
	if f.hasSize {
		b = appendVarint(b, 3<<3|wireVarint, f.fileSize)
	}
	for _, s := range f.blockSizes {
		b = appendVarint(b, 4<<3|wireVarint, s)
	}
	if f.kind == typeHAMT {
		b = appendVarint(b, 5<<3|wireVarint, f.hashType)
		b = appendVarint(b, 6<<3|wireVarint, f.fanout)
	}
	if f.mode != 0 {
		b = appendVarint(b, 7<<3|wireVarint, f.mode)
	}
	return b
}

func appendVarint(b []byte, key byte, x uint64) []byte {
	return binary.AppendUvarint(append(b, key), x)
}

// decodeFS reads a UnixFS message. Fields it does not know are passed over, as
// protobuf wants; a field that may stand once and stands twice is an error.
func decodeFS(b []byte) (*fsNode, error) {
	f := new(fsNode)
	var seen uint64
	for len(b) > 0 {
		key, value, rest, err := nextField(b)
		if err != nil {
			return nil, err
		}
		b = rest
		if key == 4<<3|wireVarint || key == 4<<3|wireBytes {
			if err := f.addBlockSizes(key, value); err != nil {
				return nil, err
			}
			continue
		}
		number := key >> 3
		if number == 0 {
			return nil, errors.New("has a field numbered 0")
		}
		if number > 8 {
			continue
		}
		if seen&(1<<number) != 0 {
			return nil, fmt.Errorf("has the field %d twice", number)
		}
		seen |= 1 << number
		if err := f.set(key, value); err != nil {
			return nil, err
		}
	}
	if seen&(1<<1) == 0 {
		return nil, errors.New("has no type")
	}
	return f, nil
}

func (f *fsNode) set(key uint64, v fieldValue) error {
	switch key {
	case 1<<3 | wireVarint:
		f.kind = v.number
	case 2<<3 | wireBytes:
		f.data, f.hasData = v.bytes, true
	case 3<<3 | wireVarint:
		f.fileSize, f.hasSize = v.number, true
	case 5<<3 | wireVarint:
		f.hashType = v.number
	case 6<<3 | wireVarint:
		f.fanout = v.number
	case 7<<3 | wireVarint:
		f.mode = v.number
	case 8<<3 | wireBytes:
		// A modification time, which no module has.
	default:
		return fmt.Errorf("has the field %d with the wire type %d", key>>3, key&7)
	}
	return nil
}

func (f *fsNode) addBlockSizes(key uint64, v fieldValue) error {
	if key&7 == wireVarint {
		f.blockSizes = append(f.blockSizes, v.number)
		return nil
	}
	for b := v.bytes; len(b) > 0; {
		x, rest, err := nextUvarint(b)
		if err != nil {
			return err
		}
		f.blockSizes = append(f.blockSizes, x)
		b = rest
	}
	return nil
}
