package sign

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// full asks for every bit and over a million random mutants of a signature by
// each kind of key; a few thousand are enough to see that a check is gone. RSA
// takes 20 minutes of one core for that, so it has to be asked for by
// ES_FULL=rsa.
var (
	full    = os.Getenv("ES_FULL") != ""
	fullRSA = os.Getenv("ES_FULL") == "rsa"
)

func mutants(f *forger) int {
	isRSA := f.algo == openpgp.AlgorithmRSA
	switch {
	case full && isRSA && !fullRSA:
		return 20_000
	case full:
		return 1_000_000
	case isRSA:
		return 500
	}
	return 2_000
}

// TestThreat2Malleability is that a signature has one form: nothing else that anybody
// can make of it without the key is accepted.
func TestThreat2Malleability(t *testing.T) {
	for i, kind := range testKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newForger(t, kind)
			h := newHunt(t, f)
			h.everyBit()
			h.wrappers(f)
			h.random(rand.New(rand.NewPCG(1, uint64(i))), mutants(f))
			t.Logf("%d mutants", h.tried)
		})
	}
}

type hunt struct {
	t         *testing.T
	keys      KeyRing
	record    []byte
	signature []byte
	tried     int
}

func newHunt(t *testing.T, f *forger) *hunt {
	e, err := records.DecodeEnvelope(envelope(t, f, f, forged{}))
	if err != nil {
		t.Fatal(err)
	}
	k := mustParse(t, f.block())
	h := &hunt{t: t, keys: ring(k), record: e.RecordBytes, signature: e.Signature}
	if _, err := Open(join(t, h.record, h.signature), h.keys); err != nil {
		t.Fatalf("the original: %v", err)
	}
	return h
}

// try opens a mutant, which must fail by a verdict about its bytes alone. Where
// a mutant names another subkey, that subkey is what is missing.
func (h *hunt) try(m []byte) {
	if bytes.Equal(m, h.signature) || len(m) == 0 || len(m) > records.MaxSignature {
		return
	}
	h.tried++
	env, err := records.EncodeEnvelope(h.record, m)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = Open(env, h.keys)
	var se *SignatureError
	if !errors.As(err, &se) && !isProblem(err, MissingSubkey) {
		h.t.Fatalf("mutant %x of %x: %v", m, h.signature, err)
	}
}

func isProblem(err error, p Problem) bool {
	var ke *KeyError
	return errors.As(err, &ke) && ke.Problem == p
}

func (h *hunt) everyBit() {
	step := 1
	if h.keyIsRSA() && !full {
		step = 7 // of a long row of alike bytes, all bits of a byte in turn
	}
	for i := 0; i < 8*len(h.signature); i += step {
		m := bytes.Clone(h.signature)
		m[i/8] ^= 1 << (i % 8)
		h.try(m)
	}
}

func (h *hunt) keyIsRSA() bool {
	for _, k := range h.keys {
		return k.primary.RSA != nil
	}
	return false
}

// wrappers are the forms that go-crypto or gpg take for the same signature.
func (h *hunt) wrappers(f *forger) {
	p, _, err := openpgp.NextPacket(h.signature)
	if err != nil {
		h.t.Fatal(err)
	}
	n := len(p.Body)
	marker, private := []byte{0xca, 3, 'P', 'G', 'P'}, []byte{0xfc, 1, 0}
	stranger := newForger(h.t, "eddsa-v4")
	strange := sigPacket(stranger.sign(forged{hashed: stranger.recordSubs(recTime)}, h.record))
	for _, extra := range [][]byte{marker, private, uidPacket("x"), h.signature, strange, {0xd5, 1, 0}} {
		h.try(subs(extra, h.signature))
		h.try(subs(h.signature, extra))
	}
	for _, head := range [][]byte{
		{0x88, byte(n)}, {0x89, byte(n >> 8), byte(n)}, {0x8a, 0, 0, byte(n >> 8), byte(n)}, {0x8b},
		{0xc2, 0xff, 0, 0, byte(n >> 8), byte(n)}, {0xc2, 0xe9, byte(n)},
	} {
		h.try(subs(head, p.Body))
	}
	s, err := openpgp.ParseSignature(p.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range [][]byte{sub(openpgp.SubpacketIssuerKeyID, f.fpr[:8]...), f.issuer(), contextSub("es/1/heartbeat"), made(recTime), sub(100)} {
		h.try(sigPacket(s.AppendBody(nil, u)))
	}
	h.numbers(s, p.Body)
}

// Numbers writes the signature's numbers in other ways.
func (h *hunt) numbers(s *openpgp.Signature, body []byte) {
	if s.Algorithm == openpgp.AlgorithmEd25519 {
		return
	}
	size := 0
	for _, v := range s.Numbers {
		size += 2 + len(v)
	}
	head := body[:len(body)-size]
	for i := range s.Numbers {
		for extra := 1; extra <= 16; extra++ {
			m := bytes.Clone(head)
			for j, v := range s.Numbers {
				bits := openpgp.BitLen(v)
				if i == j {
					bits += extra
					v = append(make([]byte, (bits+7)/8-len(v)), v...)
				}
				m = append(append(m, byte(bits>>8), byte(bits)), v...)
			}
			h.try(sigPacket(m))
		}
	}
	if s.Algorithm == openpgp.AlgorithmECDSA {
		c := *s
		c.Numbers = [][]byte{s.Numbers[0], negateS(s.Numbers[1])}
		h.try(sigPacket(c.AppendBody(nil, nil)))
		c.Numbers = [][]byte{negateS(s.Numbers[0]), s.Numbers[1]}
		h.try(sigPacket(c.AppendBody(nil, nil)))
	}
}

func (h *hunt) random(r *rand.Rand, n int) {
	for range n {
		m := bytes.Clone(h.signature)
		for range 1 + r.IntN(3) {
			m = mutate(r, m)
		}
		h.try(m)
		if r.IntN(2) == 0 { // the same inside a header that is right
			h.try(sigPacket(m[min(len(m), 2):]))
		}
	}
}

// mutate makes one small change somewhere.
func mutate(r *rand.Rand, m []byte) []byte {
	if len(m) == 0 {
		return []byte{byte(r.Uint32())}
	}
	i := r.IntN(len(m))
	switch r.IntN(6) {
	case 0:
		m[i] ^= 1 << r.IntN(8)
	case 1:
		m[i] = byte(r.Uint32())
	case 2:
		m = append(m[:i], m[min(len(m), i+1+r.IntN(4)):]...)
	case 3:
		m = append(m[:i:i], append([]byte{byte(r.Uint32())}, m[i:]...)...)
	case 4:
		j := r.IntN(len(m))
		m[i], m[j] = m[j], m[i]
	case 5:
		copy(m[i:], m[r.IntN(len(m)):])
	}
	return m
}

// TestThreat23OtherProtocols is SPEC S8 and S4: of 210 combinations of a signature
// type and notations over bytes that are a record, as e-mail, git and other programs
// make them, the one that was made for a record of this kind counts.
func TestThreat23OtherProtocols(t *testing.T) {
	f := newForger(t, "ed25519-v4")
	keys := ring(mustParse(t, f.block()))
	notations := [][]byte{
		nil,
		notationSub(0x80, false, "context@proton.ch", "mail"),
		notationSub(0x80, true, "context@proton.ch", "mail"),
		notationSub(0x80, false, "context@everythingstays.org", "es/1/heartbeat"),
		notationSub(0x80, false, "Context@everythingstays.com", "es/1/heartbeat"),
		notationSub(0x80, false, "git@example.com", "commit"),
		contextSub("es/1/release"), contextSub("es/1/heartbeat "), contextSub("es/1/"), contextSub(""), contextSub("es/2/heartbeat"),
		subs(contextSub("es/1/heartbeat"), contextSub("es/1/release")),
		notationSub(0x80, true, ContextNotation, "es/1/heartbeat"),
		notationSub(0, false, ContextNotation, "es/1/heartbeat"),
	}
	tried, accepted := 0, 0
	for _, kind := range []byte{0x00, 0x01, 0x02, 0x10, 0x13, 0x18, 0x19, 0x1f, 0x20, 0x28, 0x30, 0x40, 0x50, 0xff} {
		for i, n := range append(notations, contextSub("es/1/heartbeat")) {
			env := envelope(t, f, f, forged{kind: kind, hashed: subs(made(recTime), f.issuer(), n)})
			_, err := Open(env, keys)
			tried++
			if err == nil {
				accepted++
			}
			if right := kind == 0 && i == len(notations); right != (err == nil) {
				t.Errorf("type 0x%02x, notations %d: %v", kind, i, err)
			}
		}
	}
	if tried != 210 || accepted != 1 {
		t.Errorf("%d of %d combinations were accepted", accepted, tried)
	}
}
