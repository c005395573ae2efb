package sign

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// MaxKeyFile is how many bytes of a key file ReadKey looks at. A key that
// strangers have flooded with certifications is larger; gpg's
// --export-options export-clean makes it small again.
const MaxKeyFile = 1 << 20

// ReadKey reads an OpenPGP public key (or the public half of a secret key) from
// the bytes of a file, armored or binary, at most MaxKeyFile of them, and
// minimises it: of the user ids the primary one stays, of the subkeys those for
// signing, of the signatures the owner's own. The error is a *KeyBlockError.
func ReadKey(file []byte) (*Key, error) {
	if len(file) > MaxKeyFile {
		return nil, badKey("S47", "file has %d bytes, the limit is %d", len(file), MaxKeyFile)
	}
	binary, err := unarmor(file)
	if err != nil {
		return nil, badKey("S47", "%w", err)
	}
	var imp imported
	for rest := binary; len(rest) > 0; {
		p, after, err := nextPacket(rest)
		if err != nil {
			return nil, badKey("S31", "%w", err)
		}
		if err := imp.add(p); err != nil {
			return nil, err
		}
		rest = after
	}
	return imp.key()
}

// unarmor returns the binary form of a key, armored or not.
func unarmor(file []byte) ([]byte, error) {
	if len(file) > 0 && file[0]&0x80 != 0 {
		return file, nil
	}
	block, err := armor.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, errors.New("is not an OpenPGP key, binary or armored")
	}
	if block.Type != "PGP PUBLIC KEY BLOCK" && block.Type != "PGP PRIVATE KEY BLOCK" {
		return nil, errors.New("is armored, and not a key")
	}
	b, err := io.ReadAll(io.LimitReader(block.Body, MaxKeyFile))
	if err != nil {
		return nil, errors.New("has damaged armor")
	}
	return b, nil
}

// imported gathers what is worth keeping of a key from a file. What it does not
// know it passes over; but a revocation by the owner that it cannot use makes it
// refuse the key, for then it would look better than it is.
type imported struct {
	primary  *publicKey
	elements []*element
	revoked  map[string]uint32 // user id -> when its owner took it back

	uid    *string
	subkey *publicKey
	skip   bool  // signatures belong to a packet that is dropped
	reason error // why the last self-signature was dropped
	rule   string
}

func (imp *imported) add(p packet) error {
	if imp.primary == nil {
		return imp.begin(p)
	}
	switch p.kind {
	case packetPublicKey, packetSecretKey:
		return badKey("S32", "holds more than one key")
	case packetUserID:
		s := string(p.body)
		imp.uid, imp.subkey, imp.skip = &s, nil, len(p.body) > maxUserID
	case packetPublicSubkey, packetSecretSubkey:
		k, _, err := cutPublicKey(p.body)
		imp.uid, imp.subkey, imp.skip = nil, k, err != nil || k.version != imp.primary.version
	case packetSignature:
		if !imp.skip {
			return imp.signature(p.body)
		}
	case packetMarker, packetTrust, packetPadding:
	default:
		imp.skip = true // a user attribute, or what this format may bring
	}
	return nil
}

func (imp *imported) begin(p packet) (err error) {
	switch p.kind {
	case packetMarker, packetPadding:
		return nil
	case packetPublicKey:
		imp.primary, err = parsePublicKey(p.body)
	case packetSecretKey:
		imp.primary, _, err = cutPublicKey(p.body)
	default:
		return badKey("S32", "begins with packet type %d, not with a key", p.kind)
	}
	if err != nil {
		return badKey("S33", "primary key %w", err)
	}
	return nil
}

func (imp *imported) signature(body []byte) error {
	s, err := parseSignature(body)
	if err != nil || imp.byStranger(s) {
		return nil
	}
	if s.kind == sigCertRevocation {
		imp.revokeUID(s)
		return nil
	}
	e, rule, err := newElement(imp.primary, imp.uid, imp.subkey, body)
	switch {
	case err == nil:
		imp.elements = append(imp.elements, e)
	case errors.Is(err, errWrong) || errors.Is(err, errHashTag):
		// a stranger's, or damaged: it says nothing about the key
	case s.kind == sigKeyRevocation || s.kind == sigSubRevocation && imp.subkey != nil:
		return badKey(rule, "carries a revocation that es cannot check: %w", err)
	case imp.subkey == nil:
		imp.reason, imp.rule = err, rule
	}
	return nil
}

// byStranger reports whether s names an issuer other than the primary key.
func (imp *imported) byStranger(s *signature) bool {
	for _, area := range [][]byte{s.hashed, s.unhashed} {
		subs, err := subpackets(area)
		if err != nil {
			return true
		}
		for _, p := range subs {
			switch {
			case p.kind == subFingerprint && len(p.body) > 0 && !bytes.Equal(p.body[1:], imp.primary.fpr.Bytes()),
				p.kind == subIssuer && !bytes.Equal(p.body, imp.primary.keyID()):
				return true
			}
		}
	}
	return false
}

// revokeUID notes that the owner took a user id back. Blocks do not carry that,
// because a user id is a label here; but it is no label to choose any more.
func (imp *imported) revokeUID(s *signature) {
	if imp.uid == nil || s.readProperties() != nil {
		return
	}
	e := element{role: roleCert, uid: *imp.uid, sig: s}
	if s.verify(imp.primary, e.signedData(imp.primary)...) != nil {
		return
	}
	if imp.revoked == nil {
		imp.revoked = make(map[string]uint32)
	}
	imp.revoked[*imp.uid] = max(imp.revoked[*imp.uid], s.created)
}

func (imp *imported) key() (*Key, error) {
	if imp.primary == nil {
		return nil, badKey("S32", "holds no key")
	}
	uid := imp.chooseUID()
	elements := slices.DeleteFunc(imp.elements, func(e *element) bool {
		return e.role == roleCert && (uid == nil || e.uid != *uid)
	})
	if !hasRole(elements, mainRole(imp.primary)) {
		return nil, imp.unusable()
	}
	return newKey(imp.primary, elements), nil
}

// chooseUID picks the user id that the owner calls primary, or else the one
// certified last, among those not taken back since.
func (imp *imported) chooseUID() *string {
	newest := make(map[string]*element)
	for _, e := range imp.elements {
		if e.role == roleCert && (newest[e.uid] == nil || byWorth(e, newest[e.uid]) < 0) {
			newest[e.uid] = e
		}
	}
	var best *element
	for uid, e := range newest {
		if at, taken := imp.revoked[uid]; taken && at >= e.sig.created {
			continue
		}
		if best == nil || preferUID(e, best) < 0 {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	return &best.uid
}

func (imp *imported) unusable() error {
	if imp.reason != nil {
		return badKey(imp.rule, "has no self-signature that es can use: %w", imp.reason)
	}
	if len(imp.revoked) > 0 {
		return badKey("S42", "has no user id that its owner has not taken back")
	}
	return badKey("S42", "has no self-signature that says what the primary key is for")
}
