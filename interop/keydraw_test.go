package interop

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// keyKinds are the kinds of key that es signs with, the more likely ones twice.
var keyKinds = []string{"eddsa-v4", "eddsa-v4", "ed25519-v4", "ed25519-v6", "ed25519-v6", "p256-v4", "p256-v6", "rsa3072-v4", "rsa3072-v6"}

const (
	drawnTime  = 1_600_000_000 // when the oldest drawn keys were made: 2020-09-13
	daySeconds = 86400
)

// A drawnKey is a key as somebody may have it in a file.
type drawnKey struct {
	name    string
	kind    string
	algos   []byte // of its keys
	file    []byte // binary or armored, in one or two pieces
	gpgFile []byte // the same, with an issuer key id in each of the owner's signatures
	packets []byte // the same as file in one piece, binary
	named   []byte // packets, with an issuer key id likewise
	signers []*pgpKey
	story   []string // what is in it
}

// A drawer draws one key.
type drawer struct {
	t       testing.TB
	rng     *rand.Rand
	key     *pgpKey
	other   *pgpKey // somebody else's
	flags   int     // what the primary key is for: in most of its self-signatures
	signers []*pgpKey
	algos   []byte
	story   []string
}

// A component is a packet with the signatures about it.
type component struct {
	packet []byte
	about  []byte // what they sign besides the primary key
	sigs   [][]byte
}

func (c component) bytes() []byte { return slices.Concat(c.packet, slices.Concat(c.sigs...)) }

// drawKey draws the key with a seed, always the same one.
func drawKey(t testing.TB, seed uint64) drawnKey {
	t.Helper()
	d := &drawer{t: t, rng: rand.New(rand.NewPCG(seed, 10))}
	kind := oneOf(d, keyKinds...)
	birth := drawnTime + 4*uint32(seed%500_000) // so that keys of RSA differ
	d.key = newPGPKey(t, d.rng, kind, birth)
	d.other = newPGPKey(t, d.rng, strings.Replace(kind, "rsa3072", "p256", 1), birth)
	d.flags = oneOf(d, 3, 3, 3, 3, 3, 3, 0x23, 1)
	d.signers, d.algos = []*pgpKey{d.key}, []byte{d.key.algo}
	primary := component{packet: pgpPacket(tagKey, d.key.body)}
	d.directs(&primary)
	var rest []component
	for i := range oneOf(d, 1, 1, 1, 2, 2, 3, 0) {
		rest = append(rest, d.userID(i))
	}
	if d.chance(8) {
		rest = append(rest, d.attribute())
	}
	for range oneOf(d, 0, 0, 1, 1, 2) {
		rest = append(rest, d.subkey(kind))
	}
	if d.chance(8) {
		rest = append(rest, d.garbage())
	}
	k := drawnKey{name: fmt.Sprintf("%05d", seed), kind: kind}
	d.assemble(&k, primary, rest)
	k.signers, k.algos, k.story = d.signers, d.algos, d.story
	return k
}

func oneOf[T any](d *drawer, from ...T) T { return from[d.rng.IntN(len(from))] }

func (d *drawer) chance(percent int) bool { return d.rng.IntN(100) < percent }

func (d *drawer) say(format string, args ...any) {
	d.story = append(d.story, fmt.Sprintf(format, args...))
}

// time draws a time from few, so that some are equal; Sequoia takes SHA-1 up to
// 2023-02-01.
func (d *drawer) time() uint32 {
	days := oneOf(d, 0, 0, 0, 1, 200, 500, 500, 800, 900, 1300, 1700, 1700)
	if d.rng.IntN(400) == 0 {
		days = 20_000 // 2075
	}
	return d.key.created + uint32(days)*daySeconds
}

func (d *drawer) lifetime() uint32 {
	return oneOf[uint32](d, 0, 60, 60, 1500, 20_000, 20_000) * daySeconds
}

func (d *drawer) hash() byte {
	switch {
	case d.chance(8):
		return oneOf[byte](d, 2, 2, 2, 1, 11)
	default:
		return oneOf[byte](d, 8, 8, 10, 9)
	}
}

// signature draws a self-signature's form and what all of them may have. flags are
// the usual key flags, or -1 for none.
func (d *drawer) signature(kind byte, flags int) pgpSignature {
	s := pgpSignature{version: d.key.version, kind: kind, hash: d.hash(), created: d.time()}
	if s.version == 4 && d.chance(2) {
		s.version = 3
	}
	var subs [][]byte
	said := fmt.Sprintf("  v%d %#x hash %d day %d", s.version, kind, s.hash, (s.created-d.key.created)/daySeconds)
	add := func(what string, sub []byte) {
		said += " " + what
		subs = append(subs, sub)
	}
	critical := byte(0)
	if d.chance(10) {
		critical = 0x80
	}
	if !d.chance(1) {
		subs = append(subs, timeSubpacket(2|critical, s.created))
	} else {
		said += " timeless"
	}
	if flags >= 0 && !d.chance(7) {
		if d.chance(8) {
			flags = oneOf(d, 0, 1, 2, 3, 0x23, 0x0c, 0x20)
		}
		add(fmt.Sprintf("flags %#x", flags), subpacket(27|critical, byte(flags)))
	}
	if d.chance(15) && kind < typeKeyRevoked {
		l := d.lifetime()
		add(fmt.Sprintf("key ends %d", l/daySeconds), timeSubpacket(9|critical, l))
	}
	if d.chance(5) {
		l := d.lifetime()
		add(fmt.Sprintf("signature ends %d", l/daySeconds), timeSubpacket(3|critical, l))
	}
	if d.chance(12) && kind < typeBinding {
		v := oneOf[byte](d, 1, 1, 0)
		add(fmt.Sprintf("primary %d", v), subpacket(25, v))
	}
	if d.chance(10) {
		d.oddity(add)
	}
	d.issuers(&s, add)
	s.hashed = slices.Concat(subs...)
	if s.wrong = d.chance(1); s.wrong {
		said += " wrong"
	}
	d.say("%s", said)
	return s
}

// oddity adds something that is rare.
func (d *drawer) oddity(add func(string, []byte)) {
	switch d.rng.IntN(11) {
	case 0:
		add("notation", notation(20, "n@example.com", "x"))
	case 1:
		add("critical notation", notation(0x80|20, "n@example.com", "x"))
	case 2:
		add("critical unknown", subpacket(0x80|100, 1))
	case 3:
		add("unknown", subpacket(100, 1))
	case 4:
		add("local", subpacket(4, 0))
	case 5:
		add("for ever", subpacket(7, 0))
	case 6:
		add("key ends 60 again", timeSubpacket(9, 60*daySeconds))
	case 7:
		add("flags 0x1 again", subpacket(27, 1))
	case 8:
		add("preferences", slices.Concat(subpacket(11, 9, 7), subpacket(21, 8), subpacket(30, 1), subpacket(23, 0x80)))
	case 9:
		add("no flags", subpacket(27))
	case 10:
		add("revoker", subpacket(12, append([]byte{0x80, d.other.algo}, d.other.fpr...)...))
	}
}

// issuers names who made the signature, in one of the ways that programs do.
func (d *drawer) issuers(s *pgpSignature, add func(string, []byte)) {
	switch {
	case d.key.version == 6:
		add("", d.key.issuer())
	case d.chance(88):
		add("", d.key.issuer())
		s.unhashed = d.key.issuerID()
	case d.chance(50):
		add("id only", d.key.issuerID())
	case d.chance(50):
		add("id unhashed only", nil)
		s.unhashed = d.key.issuerID()
	case d.chance(50):
		add("fingerprint only", d.key.issuer())
	default:
		add("no issuer", nil)
	}
}

// by is the owner, and seldom somebody else.
func (d *drawer) by() *pgpKey {
	if d.chance(3) {
		d.say("  by another, in the owner's name")
		return d.other
	}
	return d.key
}

// revocation draws one of kind over data.
func (d *drawer) revocation(kind byte, data ...[]byte) []byte {
	s := d.signature(kind, -1)
	if d.chance(75) {
		reason := oneOf[byte](d, 0, 1, 1, 2, 3, 3, 32)
		d.say("  reason %d", reason)
		s.hashed = slices.Concat(s.hashed, subpacket(29, append([]byte{reason}, "why"...)...))
	}
	return d.by().sign(s, slices.Concat([][]byte{d.key.hashed()}, data)...)
}

// stranger draws what somebody else says, in their own name.
func (d *drawer) stranger(kind byte, data ...[]byte) []byte {
	d.say("  %#x by a stranger", kind)
	s := pgpSignature{version: d.key.version, kind: kind, hash: 8,
		hashed: slices.Concat(timeSubpacket(2, d.time()), d.other.issuer()), unhashed: d.other.issuerID()}
	if s.version == 6 {
		s.unhashed = nil
	}
	return d.other.sign(s, slices.Concat([][]byte{d.key.hashed()}, data)...)
}

// directs draws direct-key signatures and key revocations.
func (d *drawer) directs(c *component) {
	n := 0
	if d.key.version == 6 {
		n = oneOf(d, 1, 1, 1, 2, 2, 3)
	} else if d.chance(15) {
		n = oneOf(d, 1, 2)
	}
	d.say("primary key")
	for range n {
		flags := d.flags
		if d.key.version == 4 && d.chance(50) {
			flags = -1
		}
		c.sigs = append(c.sigs, d.by().sign(d.signature(typeDirect, flags), d.key.hashed()))
	}
	for d.chance(10) {
		c.sigs = append(c.sigs, d.revocation(typeKeyRevoked))
	}
	if d.chance(4) {
		c.sigs = append(c.sigs, d.stranger(oneOf[byte](d, typeKeyRevoked, typeDirect)))
	}
}

func prefixed(prefix byte, body []byte) []byte {
	n := len(body)
	return append([]byte{prefix, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

func (d *drawer) userID(i int) component {
	uid := fmt.Appendf(nil, "Drawn %d <drawn%d@example.com>", i, i)
	switch {
	case d.chance(4):
		uid = append(uid, bytes.Repeat([]byte{'x'}, 300)...)
	case d.chance(2):
		uid = nil
	case d.chance(2):
		uid = []byte{0xff, 0xfe, 'x'} // no UTF-8
	}
	d.say("user id of %d bytes", len(uid))
	return d.certified(tagUserID, 0xb4, uid)
}

func (d *drawer) attribute() component {
	d.say("user attribute")
	return d.certified(tagAttribute, 0xd1, append([]byte{20, 1, 16, 0, 1, 1}, make([]byte, 15)...))
}

func (d *drawer) certified(tag, prefix byte, body []byte) component {
	c := component{packet: pgpPacket(tag, body), about: prefixed(prefix, body)}
	for range oneOf(d, 1, 1, 1, 2, 2, 3) {
		s := d.signature(typeGeneric+byte(d.rng.IntN(4)), d.flags)
		c.sigs = append(c.sigs, d.by().sign(s, d.key.hashed(), c.about))
	}
	for d.chance(10) {
		c.sigs = append(c.sigs, d.revocation(typeCertRevoked, c.about))
	}
	if d.chance(10) {
		c.sigs = append(c.sigs, d.stranger(oneOf[byte](d, typePositive, typeCertRevoked), c.about))
	}
	return c
}

func (d *drawer) subkey(kind string) component {
	if d.chance(15) {
		kind = oneOf(d, "ed25519", "p256", "rsa3072") + kind[len(kind)-3:]
	}
	born := d.key.created + uint32(oneOf(d, 0, 0, 100, 400))*daySeconds
	sub := newPGPKey(d.t, d.rng, kind, born+uint32(len(d.signers))) // of RSA seldom one that the key has
	flags := oneOf(d, 2, 2, 2, 0x0c, 0x20)
	d.algos = append(d.algos, sub.algo)
	d.say("subkey with flags %#x", flags)
	if flags == 2 {
		d.signers = append(d.signers, sub)
	}
	c := component{packet: pgpPacket(tagSubkey, sub.body), about: sub.hashed()}
	for range oneOf(d, 1, 1, 1, 2, 2, 3) {
		c.sigs = append(c.sigs, d.binding(sub, flags))
	}
	for d.chance(12) {
		c.sigs = append(c.sigs, d.revocation(typeSubRevoked, c.about))
	}
	if d.chance(5) {
		c.sigs = append(c.sigs, d.stranger(oneOf[byte](d, typeSubRevoked, typeBinding), c.about))
	}
	return c
}

// binding draws one, mostly with a cross-signature where the subkey is for signing.
func (d *drawer) binding(sub *pgpKey, flags int) []byte {
	s := d.signature(typeBinding, flags)
	if flags == 2 && !d.chance(6) {
		x := pgpSignature{version: sub.version, kind: typeCross, hash: d.hash(), wrong: d.chance(2)}
		made := max(s.created, sub.created)
		x.hashed = slices.Concat(timeSubpacket(2, made), sub.issuer())
		switch {
		case d.chance(3):
			x.hashed = append(x.hashed, timeSubpacket(3, d.lifetime())...)
		case d.chance(3):
			x.hashed = append(x.hashed, notation(0x80|20, "n@example.com", "x")...)
		}
		if sub.version == 4 {
			x.unhashed = sub.issuerID()
		}
		cross := sub.sign(x, d.key.hashed(), sub.hashed())
		_, body, _ := cutPacket(cross)
		if d.chance(50) {
			s.hashed = slices.Concat(s.hashed, subpacket(32, body...))
		} else {
			s.unhashed = slices.Concat(s.unhashed, subpacket(32, body...))
		}
		d.say("  cross-signature hash %d", x.hash)
	}
	return d.by().sign(s, d.key.hashed(), sub.hashed())
}

func (d *drawer) garbage() component {
	tag := oneOf[byte](d, tagMarker, tagTrust, tagUnknown)
	d.say("packet of type %d", tag)
	return component{packet: pgpPacket(tag, []byte("PGP"))}
}

// order puts subkeys behind all else.
func order(c component) int {
	if c.packet[0]&0x3f == tagSubkey {
		return 1
	}
	return 0
}

// assemble puts the parts into an order that OpenPGP allows, or that happens.
func (d *drawer) assemble(k *drawnKey, primary component, rest []component) {
	for i, c := range rest {
		if d.chance(30) {
			d.rng.Shuffle(len(c.sigs), func(a, b int) { c.sigs[a], c.sigs[b] = c.sigs[b], c.sigs[a] })
			d.say("the signatures of part %d are shuffled", i)
		}
	}
	if d.chance(25) {
		d.rng.Shuffle(len(rest), func(a, b int) { rest[a], rest[b] = rest[b], rest[a] })
		d.say("the parts are shuffled")
		if !d.chance(10) {
			slices.SortStableFunc(rest, func(a, b component) int { return order(a) - order(b) })
			d.say("subkeys come last")
		}
	}
	if n := len(primary.sigs); n > 0 && len(rest) > 0 && d.chance(30) {
		c := &rest[d.rng.IntN(len(rest))]
		c.sigs = append(c.sigs, primary.sigs[n-1])
		primary.sigs = primary.sigs[:n-1]
		d.say("the primary key's last signature stands behind another part")
	}
	if n := len(rest); n > 1 && d.chance(4) && len(rest[0].sigs) > 0 {
		rest[n-1].sigs = append(rest[n-1].sigs, rest[0].sigs[0])
		rest[0].sigs = rest[0].sigs[1:]
		d.say("a signature of the first part stands behind the last part")
	}
	pieces := [][]byte{primary.bytes()}
	for _, c := range rest {
		pieces[0] = append(pieces[0], c.bytes()...)
	}
	if d.chance(6) {
		s := pgpSignature{version: d.key.version, kind: typeKeyRevoked, hash: 8, hashed: slices.Concat(timeSubpacket(2, d.time()), d.key.issuer())}
		pieces = append(pieces, d.key.sign(s, d.key.hashed()))
		d.say("a revocation certificate in a second piece")
	}
	k.packets = slices.Concat(pieces...)
	k.named = d.withIssuerID(k.packets)
	if len(pieces) == 1 && d.chance(70) {
		k.file, k.gpgFile = k.packets, k.named
		return
	}
	for _, p := range pieces {
		k.file = append(k.file, armorKey(p)...)
		k.gpgFile = append(k.gpgFile, armorKey(d.withIssuerID(p))...)
	}
}

// withIssuerID names the owner's key id in the part that is not signed of each of the
// owner's signatures, because gpg 2.2 and Sequoia of 2022 take them for a stranger's
// otherwise, which is no end of the key (SPEC.md section 6.6).
func (d *drawer) withIssuerID(packets []byte) (out []byte) {
	for len(packets) > 0 {
		tag, body, rest := cutPacket(packets)
		whole := packets[:len(packets)-len(rest)]
		packets = rest
		if tag == tagSignature && body[0] == 4 && !bytes.Contains(whole, d.key.issuerID()) && !bytes.Contains(whole, d.other.issuerID()) {
			at := 6 + int(body[4])<<8 + int(body[5])
			n := int(body[at])<<8 + int(body[at+1]) + len(d.key.issuerID())
			whole = pgpPacket(tag, slices.Concat(body[:at], []byte{byte(n >> 8), byte(n)}, d.key.issuerID(), body[at+2:]))
		}
		out = append(out, whole...)
	}
	return out
}

// cutPacket takes a packet off what pgpPacket made.
func cutPacket(p []byte) (tag byte, body, rest []byte) {
	size, head := int(p[1]), 2
	switch {
	case p[1] == 255:
		size, head = int(p[2])<<24|int(p[3])<<16|int(p[4])<<8|int(p[5]), 6
	case p[1] >= 192:
		size, head = int(p[1]-192)<<8+int(p[2])+192, 3
	}
	return p[0] & 0x3f, p[head : head+size], p[head+size:]
}

func armorKey(b []byte) []byte {
	var text strings.Builder
	text.WriteString("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n")
	code := base64.StdEncoding.EncodeToString(b)
	for line := range slices.Chunk([]byte(code), 64) {
		text.Write(append(line[:len(line):len(line)], '\n'))
	}
	crc := uint32(0xb704ce)
	for _, c := range b {
		crc ^= uint32(c) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	text.WriteString("=" + base64.StdEncoding.EncodeToString([]byte{byte(crc >> 16), byte(crc >> 8), byte(crc)}) + "\n")
	text.WriteString("-----END PGP PUBLIC KEY BLOCK-----\n")
	return []byte(text.String())
}
