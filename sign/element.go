package sign

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/everythingstays/es/records"
)

// role is what a signature in a key block says about what.
type role byte

const (
	roleRevocation    role = iota // the primary key is withdrawn
	roleDirect                    // properties of the primary key
	roleCert                      // a user id, and for v4 properties of the primary key
	roleSubRevocation             // a subkey is withdrawn
	roleBinding                   // a subkey may sign
)

// element is one verified signature of a key block with what it is about. A key
// is its primary key packet and a set of elements.
type element struct {
	role   role
	uid    string     // of roleCert
	subkey *publicKey // of roleSubRevocation and roleBinding
	sig    *signature
	packet []byte // canonical
	signed []byte // the packet without unhashed subpackets, which the primary key did not sign
}

// Limits of key blocks (SPEC.md section 6.4).
const (
	maxUserID = 256 // bytes
	// signatureRoom is what a signature packet may have beside the numbers of
	// the primary key's signature, and bindingRoom what a binding may besides.
	signatureRoom = 512
	bindingRoom   = 640
	maxSubkey     = 540 // bytes of an RSA-4096 subkey packet, v6
)

func maxSignaturePacket(primary *publicKey, r role) int {
	n := primary.numbers() + signatureRoom
	if r == roleBinding {
		n += bindingRoom
	}
	return n
}

// size is what the element costs in a block, when nothing is shared.
func (e *element) size() int {
	n := len(e.packet)
	if e.role == roleCert {
		n += len(e.uid) + 3
	}
	if e.subkey != nil {
		n += len(e.subkey.body) + 3
	}
	return n
}

// mainRole is the role that holds the properties of a primary key.
func mainRole(primary *publicKey) role {
	if primary.version == 6 {
		return roleDirect
	}
	return roleCert
}

func (e *element) isRevocation() bool { return e.role == roleRevocation || e.role == roleSubRevocation }

// hard reports whether a revocation says that the key may be in other hands: all
// reasons but "superseded" and "retired" do, and so does none.
func (e *element) hard() bool {
	r := e.sig.reason
	return r == nil || *r != 1 && *r != 3
}

// inBlock orders elements as they stand in a block.
func inBlock(a, b *element) int {
	group := func(e *element) int {
		if e.subkey != nil {
			return int(roleSubRevocation)
		}
		return int(e.role)
	}
	c := cmp.Compare(group(a), group(b))
	if c == 0 && a.subkey != nil {
		c = cmp.Or(cmp.Compare(a.subkey.created, b.subkey.created), bytes.Compare(a.subkey.body, b.subkey.body))
	}
	return cmp.Or(c, cmp.Compare(a.uid, b.uid), cmp.Compare(a.role, b.role),
		cmp.Compare(a.sig.created, b.sig.created), bytes.Compare(a.signed, b.signed))
}

// byWorth orders elements for the limit: revocations before all else, the hard
// and then the oldest first; then the newest. It compares two elements by
// themselves, so that adding a third never reorders them.
func byWorth(a, b *element) int {
	if ar, br := a.isRevocation(), b.isRevocation(); ar || br {
		return cmp.Or(compareBool(ar, br), compareBool(a.hard(), b.hard()),
			cmp.Compare(a.sig.created, b.sig.created), inBlock(a, b))
	}
	return cmp.Or(cmp.Compare(b.sig.created, a.sig.created), inBlock(a, b))
}

// compareBool orders true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// restBudget is how many bytes of elements may have been taken for one more to
// be, so that a block never exceeds records.MaxKeyBlock: what is left when the
// primary key, the three elements that always stay and one element more have
// their largest size.
func restBudget(primary *publicKey) int {
	sig := maxSignaturePacket(primary, roleDirect)
	always := sig + 2*(sig+maxUserID+3)
	more := maxSignaturePacket(primary, roleBinding) + maxSubkey
	return records.MaxKeyBlock - len(primary.body) - 3 - always - more
}

// limit drops what a block has no room for (SPEC.md rule S44). The most severe
// revocation and the newest direct-key signature and certification always stay;
// of all elements by worth, one stays while those before it have at most
// restBudget bytes. For any sets, limit(limit(a)+limit(b)) = limit(a+b): a
// dropped element is one that enough worthier ones stand before, and those stay.
func limit(primary *publicKey, all []*element) []*element {
	byW := slices.SortedFunc(slices.Values(all), byWorth)
	budget, used := restBudget(primary), 0
	var kept []*element
	var seen [roleBinding + 1]bool
	for _, e := range byW {
		first := !seen[e.role] && e.subkey == nil
		seen[e.role] = true
		if first || used <= budget {
			kept = append(kept, e)
		}
		used += e.size()
	}
	slices.SortFunc(kept, inBlock)
	return kept
}

// union joins sorted-or-not elements into one list in block order, without
// duplicates. A binding with two cross-signatures in its unhashed area is one: who
// has the subkey alone can make any number of them, and must not displace others by
// that. The largest stays, so that what has no room never gets any.
func union(lists ...[]*element) []*element {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b *element) int {
		return cmp.Or(inBlock(a, b), cmp.Compare(len(b.packet), len(a.packet)), bytes.Compare(b.packet, a.packet))
	})
	return slices.CompactFunc(all, func(a, b *element) bool { return inBlock(a, b) == 0 })
}

func encodeBlock(primary *publicKey, elements []*element) []byte {
	b := appendPacket(nil, packetPublicKey, primary.body)
	var uid *string
	var subkey *publicKey
	for _, e := range elements {
		if e.role == roleCert && (uid == nil || *uid != e.uid) {
			uid = &e.uid
			b = appendPacket(b, packetUserID, []byte(e.uid))
		}
		if e.subkey != nil && (subkey == nil || !bytes.Equal(subkey.body, e.subkey.body)) {
			subkey = e.subkey
			b = appendPacket(b, packetPublicSubkey, subkey.body)
		}
		b = append(b, e.packet...)
	}
	return b
}

// newElement verifies a signature packet's body as an element and puts it in
// canonical form. uid and subkey are what stands before it in the key.
func newElement(primary *publicKey, uid *string, subkey *publicKey, body []byte) (*element, string, error) {
	s, err := parseSignature(body)
	if err != nil {
		return nil, "S31", err
	}
	e := &element{sig: s}
	switch {
	case s.kind == sigKeyRevocation && uid == nil && subkey == nil:
		e.role = roleRevocation
	case s.kind == sigDirectKey && uid == nil && subkey == nil:
		e.role = roleDirect
	case s.kind >= sigGenericCert && s.kind <= sigPositiveCert && uid != nil && subkey == nil:
		e.role, e.uid = roleCert, *uid
	case s.kind == sigSubRevocation && subkey != nil:
		e.role, e.subkey = roleSubRevocation, subkey
	case s.kind == sigSubkeyBinding && subkey != nil:
		e.role, e.subkey = roleBinding, subkey
	default:
		return nil, "S36", fmt.Errorf("signature of type 0x%02x is out of place", s.kind)
	}
	if rule, err := e.verify(primary); err != nil {
		return nil, rule, fmt.Errorf("self-signature of type 0x%02x: %w", s.kind, err)
	}
	return e, "", nil
}

func (e *element) verify(primary *publicKey) (rule string, err error) {
	s := e.sig
	s.lowerS()
	s.minimal = true // appendBody makes it so
	if rule, err := s.checkForm(); err != nil {
		return "S37", fmt.Errorf("%w (as %s)", err, rule)
	}
	if err := s.readProperties(); err != nil {
		return "S38", err
	}
	if err := s.checkLasting(e.isRevocation()); err != nil {
		return "S38", err
	}
	if err := s.verify(primary, e.signedData(primary)...); err != nil {
		return "S37", err
	}
	unhashed, rule, err := e.crossSignature(primary)
	if err != nil {
		return rule, err
	}
	e.packet = appendPacket(nil, packetSignature, s.appendBody(nil, unhashed))
	e.signed = e.packet
	if unhashed != nil {
		e.signed = appendPacket(nil, packetSignature, s.appendBody(nil, nil))
	}
	if n := maxSignaturePacket(primary, e.role); len(e.packet) > n {
		return "S40", fmt.Errorf("has %d bytes, the limit is %d", len(e.packet), n)
	}
	return "", nil
}

// checkLasting refuses a self-signature that stops counting by itself or has a
// notation that must be understood. A revocation is for ever; what it says of
// its own end is passed over.
func (s *signature) checkLasting(revocation bool) error {
	if s.sigExpires && !revocation {
		return errors.New("expires by itself")
	}
	for _, p := range s.subs {
		if p.kind == subNotation && p.critical {
			return errors.New("has a critical notation")
		}
	}
	return nil
}

const flagSign = 0x02 // of the key flags subpacket

func (e *element) signedData(primary *publicKey) [][]byte {
	data := [][]byte{primary.hashed()}
	switch e.role {
	case roleCert:
		n := len(e.uid)
		data = append(data, []byte{0xb4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, []byte(e.uid))
	case roleSubRevocation, roleBinding:
		data = append(data, e.subkey.hashed())
	}
	return data
}

// crossSignature verifies the signature by which a signing subkey agrees to be
// one, or anybody could adopt it. gpg leaves it in the unhashed area: it is the
// one thing that may stay there, and is returned in canonical form.
func (e *element) crossSignature(primary *publicKey) (unhashed []byte, rule string, err error) {
	if e.role != roleBinding {
		return nil, "", nil
	}
	if e.sig.flags&flagSign == 0 {
		return nil, "S41", errors.New("binds a subkey that is not for signing")
	}
	body, signed := e.sig.embedded, true
	if body == nil {
		signed = false
		subs, err := subpackets(e.sig.unhashed)
		if err != nil {
			return nil, "S41", err
		}
		for _, p := range subs {
			if p.kind == subEmbedded {
				body = p.body
				break
			}
		}
	}
	if body == nil {
		return nil, "S41", errors.New("lacks the signing subkey's cross-signature")
	}
	x, err := verifyCross(primary, e.subkey, body)
	if err != nil {
		return nil, "S41", fmt.Errorf("cross-signature %w", err)
	}
	if signed {
		return nil, "", nil
	}
	return appendSubpacket(nil, subEmbedded, x.appendBody(nil, nil)), "", nil
}

// verifyCross returns the cross-signature with its numbers in canonical form.
func verifyCross(primary, subkey *publicKey, body []byte) (*signature, error) {
	x, err := parseSignature(body)
	if err != nil {
		return nil, err
	}
	if x.kind != sigPrimaryBinding {
		return nil, fmt.Errorf("is of type 0x%02x", x.kind)
	}
	x.lowerS()
	x.minimal = true
	if _, err := x.checkForm(); err != nil {
		return nil, err
	}
	if err := x.readProperties(); err != nil {
		return nil, err
	}
	if err := x.checkLasting(false); err != nil {
		return nil, err
	}
	return x, x.verify(subkey, primary.hashed(), subkey.hashed())
}
