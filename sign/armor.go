package sign

import (
	"bytes"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Armor returns the key block as text that gpg --import and ReadKey read.
func (k *Key) Armor() []byte {
	b, err := armored(openpgp.PublicKeyType, k.block)
	if err != nil {
		panic(err) // a bytes.Buffer takes every write
	}
	return b
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
