package records

import (
	"bytes"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// An Envelope is a record with its signature. Decoding one proves nothing about
// the signature: see package sign.
type Envelope struct {
	Record      *Record
	RecordBytes []byte // the exact slice of the envelope that was signed
	Signature   []byte // one OpenPGP signature packet
}

// An envelope is the two-entry map {"record": RECORD, "signature": BYTES}; the
// shorter key comes first in DAG-CBOR, so the record's bytes follow this head.
var envelopeHead = []byte("\xa2\x66record")

const signatureKey = "\x69signature"

// EncodeEnvelope joins a record's bytes and its signature into one DAG-CBOR
// block (SPEC.md section 4.5).
func EncodeEnvelope(record, signature []byte) ([]byte, error) {
	if len(signature) == 0 || len(signature) > MaxSignature {
		return nil, broken("R37", "signature", "has %d bytes, it must have 1 to %d", len(signature), MaxSignature)
	}
	if len(record) > MaxRecord {
		return nil, broken("R11", "record", "has %d bytes, the limit is %d", len(record), MaxRecord)
	}
	b := make([]byte, 0, len(envelopeHead)+len(record)+len(signatureKey)+3+len(signature))
	b = append(b, envelopeHead...)
	b = append(b, record...)
	b = append(b, signatureKey...)
	return appendByteString(b, signature), nil
}

// appendByteString appends v as a CBOR byte string with the shortest head.
func appendByteString(b, v []byte) []byte {
	n := len(v)
	switch {
	case n < 24:
		b = append(b, 0x40|byte(n))
	case n < 1<<8:
		b = append(b, 0x58, byte(n))
	default: // every caller's limit is below 1<<16
		b = append(b, 0x59, byte(n>>8), byte(n))
	}
	return append(b, v...)
}

// DecodeEnvelope reads an envelope in its canonical encoding, the record
// included. The error is a *FormatError.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, broken("R36", "", "envelope has %d bytes, the limit is %d", len(b), MaxEnvelope)
	}
	n, err := decodeCBOR(b, MaxDepth+1)
	if err != nil {
		return nil, err
	}
	m := readMap(n, "", &err)
	record := m.take("record", datamodel.Kind_Map, true)
	signature := m.bytes("signature", true)
	m.close()
	if err != nil {
		return nil, err
	}
	// What lies between the head and the signature can only be the record's
	// bytes when the whole is canonical; decodeNode compares them.
	tail := len(signatureKey) + len(appendByteString(nil, signature))
	if !bytes.HasPrefix(b, envelopeHead) || len(b) < len(envelopeHead)+tail {
		return nil, broken("R10", "", "envelope is not in canonical DAG-CBOR")
	}
	recordBytes := b[len(envelopeHead) : len(b)-tail]
	again, err := EncodeEnvelope(recordBytes, signature)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, broken("R10", "", "envelope is not in canonical DAG-CBOR")
	}
	r, err := decodeNode(record, recordBytes)
	if err != nil {
		return nil, inRecord(err)
	}
	return &Envelope{Record: r, RecordBytes: recordBytes, Signature: signature}, nil
}

func inRecord(err error) error {
	var fe *FormatError
	if errors.As(err, &fe) {
		path := "record"
		if fe.Path != "" {
			path += "/" + fe.Path
		}
		return &FormatError{Rule: fe.Rule, Path: path, Err: fe.Err}
	}
	return err
}

// EnvelopeID returns the CID of an envelope's block, under which IPFS finds it.
// It names a record together with one signature; the record's own id is ID.
func EnvelopeID(envelope []byte) cid.Cid { return blockID(cid.DagCBOR, envelope) }

// A Frame is what gossip carries: an envelope and the minimal key block that
// verifies it.
type Frame struct {
	Key      []byte
	Envelope []byte
}

var (
	frameHead   = []byte("\xa2\x63key")
	envelopeKey = []byte("\x68envelope")
)

// EncodeFrame joins the two into one DAG-CBOR map (SPEC.md section 4.6).
func EncodeFrame(f Frame) ([]byte, error) {
	if len(f.Key) == 0 || len(f.Key) > MaxKeyBlock {
		return nil, broken("R38", "key", "has %d bytes, it must have 1 to %d", len(f.Key), MaxKeyBlock)
	}
	if len(f.Envelope) == 0 || len(f.Envelope) > MaxEnvelope {
		return nil, broken("R38", "envelope", "has %d bytes, it must have 1 to %d", len(f.Envelope), MaxEnvelope)
	}
	b := make([]byte, 0, len(f.Key)+len(f.Envelope)+20)
	b = append(b, frameHead...)
	b = appendByteString(b, f.Key)
	b = append(b, envelopeKey...)
	return append(b, f.Envelope...), nil
}

// DecodeFrame splits a frame. The key block and the envelope are not looked
// into: sign.ParseKey and sign.Open do that.
func DecodeFrame(b []byte) (Frame, error) {
	if len(b) > MaxFrame {
		return Frame{}, broken("R38", "", "frame has %d bytes, the limit is %d", len(b), MaxFrame)
	}
	rest, ok := bytes.CutPrefix(b, frameHead)
	if !ok {
		return Frame{}, broken("R38", "", "frame does not begin with a key block")
	}
	key, rest, ok := cutByteString(rest)
	if !ok {
		return Frame{}, broken("R38", "key", "is not a byte string with the shortest head")
	}
	envelope, ok := bytes.CutPrefix(rest, envelopeKey)
	if !ok {
		return Frame{}, broken("R38", "", "frame has no envelope after its key block")
	}
	f := Frame{Key: key, Envelope: envelope}
	if _, err := EncodeFrame(f); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// cutByteString takes a CBOR byte string with the shortest head off b.
func cutByteString(b []byte) (v, rest []byte, ok bool) {
	var n, head int
	switch {
	case len(b) >= 1 && b[0] >= 0x40 && b[0] < 0x58:
		n, head = int(b[0]-0x40), 1
	case len(b) >= 2 && b[0] == 0x58:
		n, head = int(b[1]), 2
	case len(b) >= 3 && b[0] == 0x59:
		n, head = int(b[1])<<8|int(b[2]), 3
	default:
		return nil, nil, false
	}
	if len(b) < head+n {
		return nil, nil, false
	}
	v, rest = b[head:head+n], b[head+n:]
	return v, rest, bytes.HasPrefix(b, appendByteString(nil, v))
}
