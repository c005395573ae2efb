package dagpb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of UnixFS nodes.
const (
	TypeRaw       = 0
	TypeDirectory = 1
	TypeFile      = 2
	TypeMetadata  = 3
	TypeSymlink   = 4
	TypeHAMTShard = 5
)

// HashMurmur3 is the multicodec of the hash that places names in a HAMT.
const HashMurmur3 = 0x22

// An FSNode is the UnixFS message in the data of a DAG-PB block.
type FSNode struct {
	Type        uint64
	Data        []byte
	HasData     bool
	FileSize    uint64
	HasFileSize bool
	BlockSizes  []uint64
	HashType    uint64
	Fanout      uint64
	Mode        uint64
}

// Encode writes the fields that are set, in the order of their numbers.
func (f *FSNode) Encode() []byte {
	b := []byte{1<<3 | wireVarint, byte(f.Type)}
	if f.HasData {
		b = appendBytes(b, 2<<3|wireBytes, string(f.Data))
	}
	if f.HasFileSize {
		b = appendVarint(b, 3<<3|wireVarint, f.FileSize)
	}
	for _, s := range f.BlockSizes {
		b = appendVarint(b, 4<<3|wireVarint, s)
	}
	if f.Type == TypeHAMTShard {
		b = appendVarint(b, 5<<3|wireVarint, f.HashType)
		b = appendVarint(b, 6<<3|wireVarint, f.Fanout)
	}
	if f.Mode != 0 {
		b = appendVarint(b, 7<<3|wireVarint, f.Mode)
	}
	return b
}

func appendVarint(b []byte, key byte, x uint64) []byte {
	return binary.AppendUvarint(append(b, key), x)
}

// DecodeFSNode reads a UnixFS message. Fields it does not know are passed over, as
// protobuf wants; a field that may stand once and stands twice is an error.
func DecodeFSNode(b []byte) (*FSNode, error) {
	f := new(FSNode)
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

func (f *FSNode) set(key uint64, v fieldValue) error {
	switch key {
	case 1<<3 | wireVarint:
		f.Type = v.number
	case 2<<3 | wireBytes:
		f.Data, f.HasData = v.bytes, true
	case 3<<3 | wireVarint:
		f.FileSize, f.HasFileSize = v.number, true
	case 5<<3 | wireVarint:
		f.HashType = v.number
	case 6<<3 | wireVarint:
		f.Fanout = v.number
	case 7<<3 | wireVarint:
		f.Mode = v.number
	case 8<<3 | wireBytes:
		// A modification time, which no module has.
	default:
		return fmt.Errorf("has the field %d with the wire type %d", key>>3, key&7)
	}
	return nil
}

func (f *FSNode) addBlockSizes(key uint64, v fieldValue) error {
	if key&7 == wireVarint {
		f.BlockSizes = append(f.BlockSizes, v.number)
		return nil
	}
	for b := v.bytes; len(b) > 0; {
		x, rest, err := nextUvarint(b)
		if err != nil {
			return err
		}
		f.BlockSizes = append(f.BlockSizes, x)
		b = rest
	}
	return nil
}
