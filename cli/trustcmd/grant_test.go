package trustcmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/sign"
)

// What a key cannot do is said before it is believed.
func TestGrantProblem(t *testing.T) {
	now := time.Now()
	made := func(lifetime uint32, revoke packet.ReasonForRevocation) *sign.Key {
		t.Helper()
		config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, KeyLifetimeSecs: lifetime, Time: func() time.Time { return now.AddDate(-1, 0, 0) }}
		e, err := openpgp.NewEntity("Ada", "", "", config)
		if err != nil {
			t.Fatal(err)
		}
		e.Subkeys = nil
		if revoke != packet.Unknown {
			if err := e.Revoke(revoke, "", &packet.Config{Time: func() time.Time { return now.AddDate(0, -1, 0) }}); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		k, err := sign.ReadKey(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		key  *sign.Key
		want string
	}{
		{made(0, packet.Unknown), ""},
		{made(10*365*86400, packet.Unknown), ""},
		{made(86400, packet.Unknown), "the key expired on "},
		{made(0, packet.KeyRetired), "what it signed before counts"},
		{made(0, packet.KeyCompromised), "NOTHING that it ever signed counts"},
	} {
		if got := grantProblem(c.key, now); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := ui.UIDText(" \u202e"); got != "(no user id)" {
		t.Errorf("an empty user id is %q", got)
	}
}
