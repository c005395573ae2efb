package openpgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// WithIssuer adds the key id of primary to the unhashed area of each v4
// signature of a minimal block, which holds an embedded signature at most.
func WithIssuer(block, primary []byte) ([]byte, error) {
	const hashedLength = 4 // behind version, type and two algorithms
	issuer := append([]byte{9, SubpacketIssuerKeyID}, primary[len(primary)-8:]...)
	var out []byte
	for len(block) > 0 {
		p, rest, err := NextPacket(block)
		if err != nil {
			return nil, err
		}
		if p.Type == PacketSignature && p.Body[0] == 4 {
			at := hashedLength + 2 + int(binary.BigEndian.Uint16(p.Body[hashedLength:]))
			unhashed := int(binary.BigEndian.Uint16(p.Body[at:])) + len(issuer)
			body := binary.BigEndian.AppendUint16(bytes.Clone(p.Body[:at]), uint16(unhashed))
			p.Body = append(append(body, issuer...), p.Body[at+2:]...)
		}
		out = AppendPacket(out, p.Type, p.Body)
		block = rest
	}
	return out, nil
}

// Armor encodes packets as text under the header of a kind, such as PublicKeyType.
func Armor(kind string, b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("armor key: %v", err)
	}
	return append(out.Bytes(), '\n'), nil
}

// Dearmor returns the binary form of a key, armored or not; of each piece of armor at
// most limit bytes. Several pieces in one file, as of a key and then of its revocation
// certificate, are read one after the other (SPEC.md [S47]).
func Dearmor(file []byte, limit int64) ([]byte, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) // an editor's mark, which begins no packet
	if len(file) > 0 && file[0]&0x80 != 0 {
		return file, nil
	}
	const begin = "-----BEGIN PGP "
	var b []byte
	pieces := bytes.Split(file, []byte(begin))
	if len(pieces) == 1 {
		return nil, errors.New("is not an OpenPGP key, binary or armored")
	}
	for _, piece := range pieces[1:] {
		block, err := armor.Decode(io.MultiReader(bytes.NewReader([]byte(begin)), bytes.NewReader(piece)))
		if err != nil {
			return nil, errors.New("has damaged armor")
		}
		switch block.Type {
		case "PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK", "PGP SIGNATURE":
		default:
			return nil, errors.New("is armored, and not a key")
		}
		body, err := io.ReadAll(io.LimitReader(block.Body, limit))
		if err != nil {
			return nil, errors.New("has damaged armor")
		}
		b = append(b, body...)
	}
	return b, nil
}
