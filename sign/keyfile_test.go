package sign

import (
	"bytes"
	"strings"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// TestSecretLeftOut: what gpg exports for a key whose secret is elsewhere is no secret key.
func TestSecretLeftOut(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	e, err := gocrypto.NewEntity("Ada", "", "ada@example.org", &pgp.Config{Algorithm: pgp.PubKeyAlgoEdDSA, Time: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	bare := *e
	bare.Subkeys = nil
	if err := e.AddSigningSubkey(&pgp.Config{Algorithm: pgp.PubKeyAlgoEdDSA, Time: func() time.Time { return at }}); err != nil {
		t.Fatal(err)
	}
	export := func(e *gocrypto.Entity, primary bool) []byte {
		var b bytes.Buffer
		if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
			t.Fatal(err)
		}
		if primary {
			return b.Bytes()
		}
		// As gpg does: the public key, and S2K 101 in place of the secret.
		var public bytes.Buffer
		if err := e.PrimaryKey.SerializeForHash(&public); err != nil {
			t.Fatal(err)
		}
		body := append(public.Bytes()[3:], 254, 0, 101, 0, 'G', 'N', 'U', 1)
		_, rest, err := openpgp.NextPacket(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return append(append([]byte{0xc5, byte(len(body))}, body...), rest...)
	}
	for name, c := range map[string]struct {
		file []byte
		bad  bool
	}{
		"all of it":                       {export(e, true), false},
		"the secret of a subkey":          {export(e, false), false},
		"no secret at all":                {export(&bare, false), true},
		"the secret of the primary alone": {export(&bare, true), false},
	} {
		keys, err := SplitKeyFile(c.file)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%s: %d keys, %v", name, len(keys), err)
		}
		_, err = keys[0].SecretFile()
		if bad := err != nil && strings.Contains(err.Error(), "does not have the secret that signs"); bad != c.bad || !bad && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The public half before the secret one is the same key.
	var both bytes.Buffer
	if err := bare.Serialize(&both); err != nil {
		t.Fatal(err)
	}
	both.Write(export(&bare, true))
	keys, err := SplitKeyFile(both.Bytes())
	if err != nil || len(keys) != 1 || !keys[0].Secret {
		t.Fatalf("the key twice: %+v, %v", keys, err)
	}
	if _, err := keys[0].Key(); err != nil {
		t.Error(err)
	}
}
