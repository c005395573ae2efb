package interop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
)

// OpenPGP keys by hand, from a source of numbers that can be had again. Nothing here
// is es's own code, so that a fault of es's is not made twice.

// Packet and signature types (RFC 9580 sections 5 and 5.2.1).
const (
	tagSignature = 2
	tagKey       = 6
	tagMarker    = 10
	tagTrust     = 12
	tagUserID    = 13
	tagSubkey    = 14
	tagAttribute = 17
	tagUnknown   = 60

	typeBinary      = 0x00
	typeGeneric     = 0x10
	typePositive    = 0x13
	typeBinding     = 0x18
	typeCross       = 0x19
	typeDirect      = 0x1f
	typeKeyRevoked  = 0x20
	typeSubRevoked  = 0x28
	typeCertRevoked = 0x30

	algoRSA     = 1
	algoECDSA   = 19
	algoEdDSA   = 22
	algoEd25519 = 27
)

var pgpHashes = map[byte]crypto.Hash{1: crypto.MD5, 2: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224}

// A pgpKey is a primary key or a subkey with its secret.
type pgpKey struct {
	version, algo byte
	created       uint32
	body, fpr     []byte
	secret        func(hash crypto.Hash, digest []byte) []byte
}

// newPGPKey makes a key of a kind such as "p256-v4". Keys of RSA are always the same
// one, of different ages, because the primes cost seconds.
func newPGPKey(t testing.TB, rng *rand.Rand, kind string, created uint32) *pgpKey {
	t.Helper()
	k := &pgpKey{version: kind[len(kind)-1] - '0', created: created}
	seed := make([]byte, 32)
	binary.BigEndian.PutUint64(seed, rng.Uint64()|1)
	binary.BigEndian.PutUint64(seed[8:], rng.Uint64())
	var material []byte
	switch name := kind[:len(kind)-3]; name {
	case "ed25519", "eddsa":
		private := ed25519.NewKeyFromSeed(seed)
		public := private.Public().(ed25519.PublicKey)
		k.algo, material = algoEd25519, public
		k.secret = func(_ crypto.Hash, d []byte) []byte { return ed25519.Sign(private, d) }
		if name == "eddsa" {
			oid := []byte{9, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01}
			k.algo, material = algoEdDSA, slices.Concat(oid, number(append([]byte{0x40}, public...)))
			k.secret = func(_ crypto.Hash, d []byte) []byte {
				s := ed25519.Sign(private, d)
				return slices.Concat(number(s[:32]), number(s[32:]))
			}
		}
	case "p256":
		k.algo = algoECDSA
		material, k.secret = p256Secret(t, seed)
	default:
		r := rsa3072(t)
		k.algo, material = algoRSA, slices.Concat(number(r.N.Bytes()), number([]byte{1, 0, 1}))
		k.secret = func(h crypto.Hash, d []byte) []byte {
			s, err := rsa.SignPKCS1v15(nil, r, h, d)
			if err != nil {
				panic(err)
			}
			return number(s)
		}
	}
	k.setBody(material)
	return k
}

func p256Secret(t testing.TB, seed []byte) (material []byte, secret func(crypto.Hash, []byte) []byte) {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	oid := []byte{8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	return slices.Concat(oid, number(point)), func(h crypto.Hash, d []byte) []byte {
		der, err := private.Sign(nil, d, h) // without a source of chance it is RFC 6979's
		if err != nil {
			panic(err)
		}
		// SEQUENCE of two INTEGERs, all shorter than 128 bytes.
		r := der[4 : 4+der[3]]
		s, order := new(big.Int).SetBytes(der[4+len(r)+2:]), elliptic.P256().Params().N
		if half := new(big.Int).Rsh(order, 1); s.Cmp(half) > 0 {
			s.Sub(order, s) // es takes the lower one only in records
		}
		return slices.Concat(number(r), number(s.Bytes()))
	}
}

var rsa3072 = func() func(testing.TB) *rsa.PrivateKey {
	var once sync.Once
	var key *rsa.PrivateKey
	return func(t testing.TB) *rsa.PrivateKey {
		t.Helper()
		once.Do(func() {
			text, err := os.ReadFile("../sign/testdata/rsa3072.primes")
			if err != nil {
				t.Fatal(err)
			}
			var p, q big.Int
			if _, err := fmt.Sscanf(string(text), "%x\n%x\n", &p, &q); err != nil {
				t.Fatal(err)
			}
			one, e := big.NewInt(1), big.NewInt(65537)
			phi := new(big.Int).Mul(new(big.Int).Sub(&p, one), new(big.Int).Sub(&q, one))
			k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(&p, &q), E: 65537},
				D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{&p, &q}}
			k.Precompute()
			key = k
		})
		if key == nil {
			t.Fatal("no RSA key")
		}
		return key
	}
}()

func (k *pgpKey) setBody(material []byte) {
	k.body = append(binary.BigEndian.AppendUint32([]byte{k.version}, k.created), k.algo)
	if k.version == 6 {
		k.body = binary.BigEndian.AppendUint32(k.body, uint32(len(material)))
	}
	k.body = append(k.body, material...)
	if k.version == 6 {
		f := sha256.Sum256(k.hashed())
		k.fpr = f[:]
		return
	}
	f := sha1.Sum(k.hashed())
	k.fpr = f[:]
}

// hashed is the key as signatures hash it.
func (k *pgpKey) hashed() []byte {
	if k.version == 6 {
		return append(binary.BigEndian.AppendUint32([]byte{0x9b}, uint32(len(k.body))), k.body...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(k.body))), k.body...)
}

func (k *pgpKey) id() []byte {
	if k.version == 6 {
		return k.fpr[:8]
	}
	return k.fpr[len(k.fpr)-8:]
}

// number is a multiprecision integer.
func number(b []byte) []byte {
	b = bytes.TrimLeft(b, "\x00")
	n := 0
	if len(b) > 0 {
		n = 8*(len(b)-1) + bits.Len8(b[0])
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(n)), b...)
}

func pgpPacket(tag byte, body []byte) []byte {
	head := []byte{0xc0 | tag}
	switch n := len(body); {
	case n < 192:
		head = append(head, byte(n))
	case n < 8384:
		head = append(head, byte((n-192)>>8)+192, byte(n-192))
	default:
		head = binary.BigEndian.AppendUint32(append(head, 255), uint32(n))
	}
	return append(head, body...)
}

func subpacket(kind byte, body ...byte) []byte {
	n := len(body) + 1
	head := []byte{byte(n)}
	if n >= 192 {
		head = []byte{byte((n-192)>>8) + 192, byte(n - 192)}
	}
	return slices.Concat(head, []byte{kind}, body)
}

func timeSubpacket(kind byte, v uint32) []byte {
	return subpacket(kind, binary.BigEndian.AppendUint32(nil, v)...)
}

func notation(kind byte, name, value string) []byte {
	b := []byte{0x80, 0, 0, 0, 0, byte(len(name)), 0, byte(len(value))}
	return subpacket(kind, slices.Concat(b, []byte(name), []byte(value))...)
}

// A pgpSignature is one before it is made.
type pgpSignature struct {
	version          byte // 3, 4 or 6
	kind, hash       byte
	created          uint32 // of version 3
	hashed, unhashed []byte // subpackets
	wrong            bool   // it does not verify
}

// sign makes a signature packet over data.
func (k *pgpKey) sign(s pgpSignature, data ...[]byte) []byte {
	hash := pgpHashes[s.hash]
	h := hash.New()
	var head, salt []byte
	switch s.version {
	case 3:
		head = binary.BigEndian.AppendUint32([]byte{s.kind}, s.created)
	case 4:
		head = append(binary.BigEndian.AppendUint16([]byte{4, s.kind, k.algo, s.hash}, uint16(len(s.hashed))), s.hashed...)
	case 6:
		head = append(binary.BigEndian.AppendUint32([]byte{6, s.kind, k.algo, s.hash}, uint32(len(s.hashed))), s.hashed...)
		salt = make([]byte, max(16, hash.Size()/2))
	}
	h.Write(salt)
	for _, d := range data {
		h.Write(d)
	}
	h.Write(head)
	if s.version != 3 {
		h.Write(binary.BigEndian.AppendUint32([]byte{s.version, 0xff}, uint32(len(head))))
	}
	digest := h.Sum(nil)
	tag := slices.Clone(digest[:2])
	if s.wrong {
		digest[len(digest)-1] ^= 1
	}
	numbers := k.secret(hash, digest)
	var body []byte
	switch s.version {
	case 3:
		body = slices.Concat([]byte{3, 5}, head, k.id(), []byte{k.algo, s.hash}, tag)
	case 4:
		body = slices.Concat(binary.BigEndian.AppendUint16(head, uint16(len(s.unhashed))), s.unhashed, tag)
	case 6:
		body = slices.Concat(binary.BigEndian.AppendUint32(head, uint32(len(s.unhashed))), s.unhashed, tag, []byte{byte(len(salt))}, salt)
	}
	return pgpPacket(tagSignature, append(body, numbers...))
}

func (k *pgpKey) issuer() []byte {
	return subpacket(33, append([]byte{k.version}, k.fpr...)...)
}

func (k *pgpKey) issuerID() []byte { return subpacket(16, k.id()...) }

// detached is a signature of a document by k at a time.
func (k *pgpKey) detached(document []byte, created uint32, more ...[]byte) []byte {
	s := pgpSignature{version: k.version, kind: typeBinary, hash: 8}
	s.hashed = slices.Concat(timeSubpacket(2, created), k.issuer(), slices.Concat(more...))
	return k.sign(s, document)
}
