package sign

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// seed adds a section of every vector of a kind.
func seed(f *testing.F, kind, section string, add func([]byte)) {
	f.Helper()
	vectors, err := readVectorFiles(kind)
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		if b := v.sections[section]; b != nil {
			add(b)
		}
	}
}

// FuzzOpen: what opens is what was signed, in its only form.
func FuzzOpen(f *testing.F) {
	keys := KeyRing{}
	seed(f, "sign", "key.hex", func(b []byte) {
		if k, err := ParseKey(b); err == nil {
			keys[k.Fingerprint()] = k
		}
	})
	opened := map[string]bool{}
	seed(f, "sign", "envelope.cbor.hex", func(b []byte) {
		f.Add(b)
		if v, err := Open(b, keys); err == nil {
			opened[string(v.Envelope())] = true
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Open(b, keys)
		if err == nil && !opened[string(b)] {
			t.Errorf("opened an envelope that nobody signed: %x", v.Envelope())
		}
		if expect, _ := verdict(err); !bytes.Contains([]byte("ok signature-error key-error unknown-key"), []byte(expect)) {
			t.Errorf("untyped error: %v", err)
		}
	})
}

// FuzzParseKey: a block that parses is canonical, and small.
func FuzzParseKey(f *testing.F) {
	seed(f, "keys", "key.hex", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		var be *KeyBlockError
		switch {
		case err != nil && !errors.As(err, &be):
			t.Errorf("untyped error: %v", err)
		case err == nil && !bytes.Equal(k.Block(), b):
			t.Error("block changed")
		}
	})
}

// FuzzReadKey: whatever is read becomes a block that parses.
func FuzzReadKey(f *testing.F) {
	seed(f, "keys", "export.hex", func(b []byte) { f.Add(b) })
	seed(f, "keys", "key.hex", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ReadKey(b)
		if err != nil {
			return
		}
		again, err := ParseKey(k.Block())
		if err != nil || !bytes.Equal(again.Block(), k.Block()) {
			t.Errorf("%v: %x", err, k.Block())
		}
		if err := records.CheckText(k.UserID(), openpgp.MaxUserID); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSignature: what a signer's program returns is put into one form, once.
func FuzzSignature(f *testing.F) {
	seed(f, "sign", "envelope.cbor.hex", func(b []byte) {
		if e, err := records.DecodeEnvelope(b); err == nil {
			f.Add(e.Signature)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := openpgp.CanonicalSignature(b)
		if err != nil {
			return
		}
		twice, err := openpgp.CanonicalSignature(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%v: %x becomes %x", err, once, twice)
		}
	})
}

func BenchmarkOpenEd25519(b *testing.B) {
	f := newForger(b, "eddsa-v4")
	env, keys := envelope(b, f, f, forged{}), ring(mustParse(b, f.block()))
	for b.Loop() {
		if _, err := Open(env, keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEd25519Raw(b *testing.B) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 32)
	signature := ed25519.Sign(priv, message)
	for b.Loop() {
		if !ed25519.Verify(pub, message, signature) {
			b.Fatal("does not verify")
		}
	}
}

func BenchmarkParseKeyEd25519(b *testing.B) {
	block := newForger(b, "eddsa-v4").block()
	for b.Loop() {
		if _, err := ParseKey(block); err != nil {
			b.Fatal(err)
		}
	}
}

// Lengths of four octets do not fit into an int everywhere (GOARCH=386): they must
// not become negative.
func TestHugeLengths(t *testing.T) {
	for _, head := range []string{"\xc2\xff\x80\x00\x00\x00", "\xc2\xff\xff\xff\xff\xff", "\x8a\x80\x00\x00\x00", "\x8a\xff\xff\xff\xff", "\xc2\xff\x7f\xff\xff\xff"} {
		if p, _, err := openpgp.NextPacket([]byte(head + "body")); err == nil {
			t.Errorf("%x is a packet of %d bytes", head, len(p.Body))
		}
	}
	for _, area := range []string{"\xff\x80\x00\x00\x00\x02", "\xff\xff\xff\xff\xff\x02", "\xff\x7f\xff\xff\xff\x02"} {
		if subs, err := openpgp.ParseSubpackets([]byte(area + "body")); err == nil {
			t.Errorf("%x is %d subpackets", area, len(subs))
		}
	}
	for _, length := range []string{"\x80\x00\x00\x00", "\xff\xff\xff\xff"} {
		if _, err := openpgp.ParseSignature([]byte("\x06\x00\x1b\x08" + length + "body")); err == nil {
			t.Errorf("a v6 signature with %x bytes of subpackets", length)
		}
	}
}
