package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha3"
	"encoding/binary"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// forger makes keys and signatures by hand, so that tests can have exactly one
// thing wrong with them.
type forger struct {
	version, algo byte
	created       uint32
	body          []byte
	fpr           []byte
	numbers       func(hash crypto.Hash, digest []byte) []byte
}

// testKinds are the kinds of key that es takes.
var testKinds = []string{"eddsa-v4", "ed25519-v4", "ed25519-v6", "p256-v4", "p256-v6", "rsa3072-v4", "rsa4096-v4", "rsa3072-v6"}

const (
	keyTime = 1_700_000_000 // when test keys are made
	recTime = 1_760_000_000 // when test records are signed
)

func newForger(t testing.TB, kind string) *forger {
	t.Helper()
	f := &forger{version: 4, created: keyTime}
	name := kind[:len(kind)-3]
	if kind[len(kind)-1] == '6' {
		f.version = 6
	}
	switch name {
	case "ed25519", "eddsa":
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f.ed25519(name, pub, priv)
	case "p256":
		priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f.p256(t, priv)
	default:
		f.rsa(testRSA(t, name))
	}
	return f
}

func (f *forger) ed25519(name string, pub ed25519.PublicKey, priv ed25519.PrivateKey) {
	if name == "ed25519" {
		f.key(openpgp.AlgorithmEd25519, pub)
		f.numbers = func(_ crypto.Hash, d []byte) []byte { return ed25519.Sign(priv, d) }
		return
	}
	f.key(openpgp.AlgorithmEdDSALegacy, openpgp.AppendMPI(bytes.Clone(openpgp.OIDEd25519), append([]byte{0x40}, pub...)))
	f.numbers = func(_ crypto.Hash, d []byte) []byte {
		s := ed25519.Sign(priv, d)
		return openpgp.AppendMPI(openpgp.AppendMPI(nil, s[:32]), s[32:])
	}
}

func (f *forger) p256(t testing.TB, priv *ecdsa.PrivateKey) {
	point, err := priv.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f.key(openpgp.AlgorithmECDSA, openpgp.AppendMPI(bytes.Clone(openpgp.OIDP256), point))
	f.numbers = func(_ crypto.Hash, d []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, priv, d)
		if err != nil {
			t.Fatal(err)
		}
		if openpgp.IsHighS(s.Bytes()) {
			s.Sub(elliptic.P256().Params().N, s)
		}
		return openpgp.AppendMPI(openpgp.AppendMPI(nil, r.Bytes()), s.Bytes())
	}
}

func (f *forger) rsa(priv *rsa.PrivateKey) {
	f.key(openpgp.AlgorithmRSA, openpgp.AppendMPI(openpgp.AppendMPI(nil, priv.N.Bytes()), big.NewInt(int64(priv.E)).Bytes()))
	f.numbers = func(h crypto.Hash, d []byte) []byte {
		s, err := rsa.SignPKCS1v15(rand.Reader, priv, h, d)
		if err != nil {
			panic(err)
		}
		return openpgp.AppendMPI(nil, s)
	}
}

var (
	rsaMu   sync.Mutex
	rsaKeys = map[string]*rsa.PrivateKey{}
)

func testRSA(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	rsaMu.Lock()
	defer rsaMu.Unlock()
	if k := rsaKeys[name]; k != nil {
		return k
	}
	primes := testPrimes(t, name)
	k, err := rsaKey(primes[0], primes[1], openpgp.RSAExponent)
	if err != nil {
		t.Fatal(err)
	}
	rsaKeys[name] = k
	return k
}

// testPrimes reads primes that were made once, since that takes long.
func testPrimes(t testing.TB, name string) []*big.Int {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".primes")
	if err != nil {
		t.Fatal(err)
	}
	var primes []*big.Int
	for _, word := range strings.Fields(string(b)) {
		p, ok := new(big.Int).SetString(word, 16)
		if !ok {
			t.Fatalf("%s.primes: %q is no number", name, word)
		}
		primes = append(primes, p)
	}
	return primes
}

func rsaKey(p, q *big.Int, e int64) (*rsa.PrivateKey, error) {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e)},
		D:         new(big.Int).ModInverse(big.NewInt(e), phi),
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	return k, k.Validate()
}

// key sets the public key and its fingerprint.
func (f *forger) key(algo byte, material []byte) {
	f.algo = algo
	f.body = binary.BigEndian.AppendUint32([]byte{f.version}, f.created)
	f.body = append(f.body, algo)
	if f.version == 6 {
		f.body = binary.BigEndian.AppendUint32(f.body, uint32(len(material)))
	}
	f.body = append(f.body, material...)
	f.setFingerprint()
}

func (f *forger) setFingerprint() {
	if f.version == 6 {
		s := sha256.Sum256(f.hashed())
		f.fpr = s[:]
	} else {
		s := sha1.Sum(f.hashed())
		f.fpr = s[:]
	}
}

func (f *forger) hashed() []byte {
	k := openpgp.PublicKey{Version: f.version, Body: f.body}
	return k.Hashed()
}

func (f *forger) fingerprint() records.Fingerprint {
	fpr, err := records.FingerprintFromBytes(f.fpr)
	if err != nil {
		panic(err)
	}
	return fpr
}

// forged is a signature before it is made.
type forged struct {
	version, kind, algo, hash byte
	hashed, unhashed          []byte
	salt                      []byte                   // of version 6; nil for one that the hash needs
	tamper                    func(*openpgp.Signature) // after signing
}

// sign makes a signature packet's body; version, algo and hash default to what
// the key needs.
func (f *forger) sign(s forged, data ...[]byte) []byte {
	sig := &openpgp.Signature{Version: s.version, Type: s.kind, Algorithm: s.algo, Hash: s.hash, Hashed: s.hashed}
	if sig.Version == 0 {
		sig.Version = f.version
	}
	if sig.Algorithm == 0 {
		sig.Algorithm = f.algo
	}
	if sig.Hash == 0 {
		sig.Hash = 8
	}
	hash := map[byte]crypto.Hash{1: crypto.MD5, 2: crypto.SHA1, 3: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384,
		10: crypto.SHA512, 11: crypto.SHA224, 12: crypto.SHA3_256, 14: crypto.SHA3_512}[sig.Hash]
	if sig.Salt = s.salt; sig.Version == 6 && s.salt == nil {
		sig.Salt = make([]byte, hash.Size()/2)
	}
	h := hash.New()
	h.Write(sig.Salt)
	for _, d := range data {
		h.Write(d)
	}
	head := sig.SignedHead()
	h.Write(head)
	h.Write(binary.BigEndian.AppendUint32([]byte{sig.Version, 0xff}, uint32(len(head))))
	digest := h.Sum(nil)
	sig.HashTag = digest[:2]
	numbers := f.numbers(hash, digest)
	if s.tamper != nil {
		s.tamper(sig)
	}
	return append(sig.AppendBody(nil, s.unhashed), numbers...)
}

func subs(list ...[]byte) []byte { return bytes.Join(list, nil) }

func sub(kind byte, body ...byte) []byte { return openpgp.AppendSubpacket(nil, kind, body) }

func criticalSub(kind byte, body ...byte) []byte {
	return openpgp.AppendSubpacket(nil, kind|0x80, body)
}

func uint32Sub(kind byte, v uint32) []byte {
	return sub(kind, binary.BigEndian.AppendUint32(nil, v)...)
}

func made(t uint32) []byte { return uint32Sub(openpgp.SubpacketCreationTime, t) }

func (f *forger) issuer() []byte {
	return sub(openpgp.SubpacketIssuerFingerprint, append([]byte{f.version}, f.fpr...)...)
}

func notationSub(flags byte, critical bool, name, value string) []byte {
	b := []byte{flags, 0, 0, 0, byte(len(name) >> 8), byte(len(name)), byte(len(value) >> 8), byte(len(value))}
	b = append(append(b, name...), value...)
	kind := byte(openpgp.SubpacketNotation)
	if critical {
		kind |= 0x80
	}
	return openpgp.AppendSubpacket(nil, kind, b)
}

func contextSub(value string) []byte { return notationSub(0x80, false, ContextNotation, value) }

// recordSubs are the subpackets of a good signature at t of a heartbeat.
func (f *forger) recordSubs(t uint32) []byte {
	return subs(made(t), f.issuer(), contextSub("es/1/heartbeat"))
}

func (f *forger) primary() []byte { return openpgp.AppendPacket(nil, openpgp.PacketPublicKey, f.body) }

func sigPacket(body []byte) []byte { return openpgp.AppendPacket(nil, openpgp.PacketSignature, body) }

const testUID = "Forged <forged@example.com>"

func uidPacket(uid string) []byte {
	return openpgp.AppendPacket(nil, openpgp.PacketUserID, []byte(uid))
}

func uidHashed(uid string) []byte {
	n := len(uid)
	return append([]byte{0xb4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, uid...)
}

// selfSubs are the subpackets of a self-signature that lets the primary key sign.
func (f *forger) selfSubs(t uint32, more ...[]byte) []byte {
	return subs(made(t), f.issuer(), sub(openpgp.SubpacketKeyFlags, 0x03), subs(more...))
}

func (f *forger) cert(uid string, hashed []byte) []byte {
	return sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: hashed}, f.hashed(), uidHashed(uid)))
}

func (f *forger) direct(hashed []byte) []byte {
	return sigPacket(f.sign(forged{kind: openpgp.SignatureDirectKey, hashed: hashed}, f.hashed()))
}

func (f *forger) revoke(t uint32, reason ...byte) []byte {
	h := subs(made(t), f.issuer())
	if len(reason) > 0 {
		h = append(h, sub(openpgp.SubpacketRevocationReason, reason...)...)
	}
	return sigPacket(f.sign(forged{kind: openpgp.SignatureKeyRevocation, hashed: h}, f.hashed()))
}

func (f *forger) subkey() []byte {
	return openpgp.AppendPacket(nil, openpgp.PacketPublicSubkey, f.body)
}

// bind makes a binding of a signing subkey with its cross-signature in the
// hashed area.
func (f *forger) bind(s *forger, t uint32, more ...[]byte) []byte {
	cross := s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(t), s.issuer())}, f.hashed(), s.hashed())
	h := subs(made(t), f.issuer(), sub(openpgp.SubpacketKeyFlags, 0x02), sub(openpgp.SubpacketEmbeddedSignature, cross...), subs(more...))
	return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: h}, f.hashed(), s.hashed()))
}

// bindOutside makes a binding as gpg does, with the cross-signature where the primary
// key does not sign it. The note makes it another one.
func (f *forger) bindOutside(s *forger, t uint32, note string) []byte {
	cross := s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(t), s.issuer(), notationSub(0x80, false, "n@example.com", note))}, f.hashed(), s.hashed())
	return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(t), f.issuer(), subFlagsSign()), unhashed: sub(openpgp.SubpacketEmbeddedSignature, cross...)}, f.hashed(), s.hashed()))
}

func (f *forger) revokeSubkey(s *forger, t uint32, reason ...byte) []byte {
	h := subs(made(t), f.issuer())
	if len(reason) > 0 {
		h = append(h, sub(openpgp.SubpacketRevocationReason, reason...)...)
	}
	return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyRevocation, hashed: h}, f.hashed(), s.hashed()))
}

// main is the self-signature with the key's properties: over a user id in v4,
// over the key in v6.
func (f *forger) main(t uint32, more ...[]byte) []byte {
	if f.version == 6 {
		return f.direct(f.selfSubs(t, more...))
	}
	return subs(uidPacket(testUID), f.cert(testUID, f.selfSubs(t, more...)))
}

// block is the key's usual block: the primary key may sign.
func (f *forger) block() []byte { return subs(f.primary(), f.main(keyTime)) }

func mustParse(t testing.TB, block []byte) *Key {
	t.Helper()
	k, err := ParseKey(block)
	if err != nil {
		t.Fatalf("ParseKey: %v", err)
	}
	return k
}

// mustRead puts a forged key into canonical form.
func mustRead(t testing.TB, parts ...[]byte) *Key {
	t.Helper()
	k, err := ReadKey(subs(parts...))
	if err != nil {
		t.Fatalf("ReadKey: %v", err)
	}
	return k
}

func heartbeatBytes(t testing.TB, author records.Fingerprint) []byte {
	t.Helper()
	b, err := records.Encode(&records.Record{Author: author, Time: recTime, Body: &records.Heartbeat{Next: recTime + 86400}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// envelope signs a heartbeat of author's with signer.
func envelope(t testing.TB, author, signer *forger, s forged) []byte {
	t.Helper()
	rec := heartbeatBytes(t, author.fingerprint())
	if s.hashed == nil {
		s.hashed = signer.recordSubs(recTime)
	}
	return join(t, rec, sigPacket(signer.sign(s, rec)))
}

func join(t testing.TB, record, signature []byte) []byte {
	t.Helper()
	b, err := records.EncodeEnvelope(record, signature)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// negateS returns n-s on P-256.
func negateS(s []byte) []byte {
	return new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(s)).Bytes()
}
