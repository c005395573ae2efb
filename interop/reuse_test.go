package interop

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// TestThreat23GPG is that what gpg signs for other purposes, over bytes that are a
// record and by the record's author, is no record's signature: detached, as text, as
// git asks for it, with notations of others and with ours for another kind. Of the
// same made for this record one counts, so that the notation is all they lack.
func TestThreat23GPG(t *testing.T) {
	g := gpgHome(t)
	fpr := gpgKey(t, g, nil, "ed25519", "cert,sign", "never")
	s, err := sign.OpenGPG(t.Context(), g, fpr)
	if err != nil {
		t.Fatal(err)
	}
	record, err := records.Encode(newHeartbeat(s.Key().Fingerprint()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "record.cbor"), filepath.Join(dir, "record.sig")
	if err := os.WriteFile(in, record, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		ok   bool
	}{
		{"detached", nil, false},
		{"text", []string{"--textmode"}, false},
		{"git", []string{"-u", fpr}, false},
		{"a mail program's notation", []string{"--set-notation", "context@proton.ch=mail"}, false},
		{"another kind", []string{"--set-notation", sign.ContextNotation + "=es/1/release"}, false},
		{"another format", []string{"--set-notation", sign.ContextNotation + "=es/2/heartbeat"}, false},
		{"critical", []string{"--set-notation", "!" + sign.ContextNotation + "=es/1/heartbeat"}, false},
		{"and another notation", []string{"--set-notation", sign.ContextNotation + "=es/1/heartbeat", "--set-notation", "context@proton.ch=mail"}, false},
		{"text for this kind", []string{"--textmode", "--set-notation", sign.ContextNotation + "=es/1/heartbeat"}, false},
		{"for a day", []string{"--default-sig-expire", "1d", "--set-notation", sign.ContextNotation + "=es/1/heartbeat"}, false},
		{"for this kind", []string{"--set-notation", sign.ContextNotation + "=es/1/heartbeat"}, true},
	} {
		gpg(t, g, append(c.args, "--no-armor", "--digest-algo", "SHA256", "-o", out, "--detach-sign", in)...)
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := records.EncodeEnvelope(record, withoutUnhashed(t, raw))
		if err != nil {
			t.Fatal(err)
		}
		_, err = sign.Open(envelope, sign.KeyRing{s.Key().Fingerprint(): s.Key()})
		if refused := errors.As(err, new(*sign.SignatureError)); c.ok != (err == nil) || !c.ok && !refused {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// withoutUnhashed puts gpg's signature by an Ed25519 key into the form that es takes:
// a new header, and no unhashed subpackets.
func withoutUnhashed(t *testing.T, raw []byte) []byte {
	t.Helper()
	if len(raw) < 10 || raw[0] != 0x88 || len(raw) != 2+int(raw[1]) {
		t.Fatalf("gpg wrote %x", raw)
	}
	body := raw[2:]
	at := 6 + int(body[4])<<8 + int(body[5])
	unhashed := int(body[at])<<8 + int(body[at+1])
	body = append(append(body[:at:at], 0, 0), body[at+2+unhashed:]...)
	return append([]byte{0xc2, byte(len(body))}, body...)
}
