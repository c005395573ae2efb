package sign

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Armor returns the key block as text that gpg --import and ReadKey read. Its v4
// signatures name their issuer outside of what they sign, too: a minimal block
// leaves that out, and gpg 2.2 takes such signatures for a stranger's.
func (k *Key) Armor() []byte {
	block, err := withIssuer(k.block, k.Fingerprint().Bytes())
	if err != nil {
		panic("sign: a verified key block " + err.Error())
	}
	b, err := armored(openpgp.PublicKeyType, block)
	if err != nil {
		panic(err) // a bytes.Buffer takes every write
	}
	return b
}

// withIssuer adds the key id of primary to the unhashed area of each v4
// signature of a minimal block, which holds an embedded signature at most.
func withIssuer(block, primary []byte) ([]byte, error) {
	const hashedLength = 4 // behind version, type and two algorithms
	issuer := append([]byte{9, 16}, primary[len(primary)-8:]...)
	var out []byte
	for len(block) > 0 {
		p, rest, err := nextPacket(block)
		if err != nil {
			return nil, err
		}
		if p.kind == packetSignature && p.body[0] == 4 {
			at := hashedLength + 2 + int(binary.BigEndian.Uint16(p.body[hashedLength:]))
			unhashed := int(binary.BigEndian.Uint16(p.body[at:])) + len(issuer)
			body := binary.BigEndian.AppendUint16(bytes.Clone(p.body[:at]), uint16(unhashed))
			p.body = append(append(body, issuer...), p.body[at+2:]...)
		}
		out = appendPacket(out, p.kind, p.body)
		block = rest
	}
	return out, nil
}

func armored(kind string, b []byte) ([]byte, error) {
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
