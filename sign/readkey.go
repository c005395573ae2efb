package sign

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/everythingstays/es/records"
)

// MaxKeyFile is how many bytes of a key file ReadKey looks at. A key that
// strangers have flooded with certifications is larger; gpg's
// --export-options export-clean makes it small again.
const MaxKeyFile = 1 << 20

// ReadKey reads an OpenPGP public key (or the public half of a secret key) from
// the bytes of a file, armored or binary, at most MaxKeyFile of them, and
// minimises it: of the user ids the primary one stays, of the subkeys those for
// signing, of the signatures the owner's own. What the owner said in the file that
// ends the key stays too, or the key is refused (SPEC.md [S150]), and so is one that
// speaks from the future by this machine's clock ([S172]). The error is a
// *KeyBlockError.
func ReadKey(file []byte) (*Key, error) {
	return readKey(file, uint32(min(time.Now().Unix()+records.SigningDelay, math.MaxUint32)))
}

// ReadOwnKey is ReadKey for the file of an own key, which can be read whatever the
// clock shows.
func ReadOwnKey(file []byte) (*Key, error) { return readKey(file, math.MaxUint32) }

// readKey refuses what its owner dates after the last second.
func readKey(file []byte, last uint32) (*Key, error) {
	if len(file) > MaxKeyFile {
		return nil, badKey("S47", "file has %d bytes, the limit is %d", len(file), MaxKeyFile)
	}
	binary, err := unarmor(file)
	if err != nil {
		return nil, badKey("S47", "%w", err)
	}
	imp := imported{last: last}
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

// unarmor returns the binary form of a key, armored or not. Several pieces of armor
// in one file, as of a key and then of its revocation certificate, are read one
// after the other.
func unarmor(file []byte) ([]byte, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) // an editor's mark, which begins no packet
	if len(file) > 0 && file[0]&0x80 != 0 {
		return file, nil
	}
	const begin = "-----BEGIN PGP "
	var b []byte
	pieces := bytes.Split(file, []byte(begin))
	if len(pieces) == 1 {
		return nil, errors.New("is not an OpenPGP key, binary or armored")
	}
	for _, piece := range pieces[1:] {
		block, err := armor.Decode(io.MultiReader(bytes.NewReader([]byte(begin)), bytes.NewReader(piece)))
		if err != nil {
			return nil, errors.New("has damaged armor")
		}
		switch block.Type {
		case "PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK", "PGP SIGNATURE":
		default:
			return nil, errors.New("is armored, and not a key")
		}
		body, err := io.ReadAll(io.LimitReader(block.Body, MaxKeyFile))
		if err != nil {
			return nil, errors.New("has damaged armor")
		}
		b = append(b, body...)
	}
	return b, nil
}

// imported gathers what is worth keeping of a key from a file, and all that its
// owner says there of when keys end.
type imported struct {
	last     uint32 // what is dated later is of the future
	primary  *publicKey
	elements []*element

	at         place
	places     []place // so far, what signatures may be about
	said       []statement
	astray     [][]byte          // signatures that are not about what they stand behind
	takenBack  map[string]uint32 // certified packet -> when its owner took it back
	relieved   map[string]uint32 // the same, by revocations that every program heeds
	subRevoked []subRevocation
	revokers   map[string]bool // fingerprints of those who may revoke in the owner's place
	byOthers   []string        // fingerprints or key ids that key revocations by others name

	reason error // why the last self-signature was dropped
	rule   string
}

// A place is what the signatures of a key that come next are about.
type place struct {
	certified []byte     // a user id or attribute as signatures hash it; nil if none
	isUID     bool       // whether that is a user id
	uid       *string    // a user id that a block can hold
	subkey    *publicKey // a subkey that a block can hold
	unknown   bool       // a subkey that it cannot
}

func (imp *imported) add(p packet) error {
	if imp.primary == nil {
		return imp.begin(p)
	}
	switch p.kind {
	case packetPublicKey, packetSecretKey:
		return badKey("S32", "holds more than one key")
	case packetUserID:
		imp.at = place{certified: certified(0xb4, p.body), isUID: true}
		// GnuPG does not look behind the first subkey (SPEC.md [S171]).
		if len(p.body) <= maxUserID && !imp.afterSubkey() {
			s := string(p.body)
			imp.at.uid = &s
		}
	case packetUserAttribute:
		imp.at = place{certified: certified(0xd1, p.body)}
	case packetPublicSubkey, packetSecretSubkey:
		k, _, err := cutPublicKey(p.body)
		if err != nil || k.version != imp.primary.version {
			k = nil
		}
		imp.at = place{subkey: k, unknown: k == nil}
	case packetSignature:
		return imp.signature(p.body)
	default:
		return nil // markers, trust, padding, and what this format may bring
	}
	imp.places = append(imp.places, imp.at)
	return nil
}

func (imp *imported) afterSubkey() bool {
	return slices.ContainsFunc(imp.places, func(at place) bool { return at.subkey != nil || at.unknown })
}

func certified(prefix byte, body []byte) []byte {
	n := len(body)
	return append([]byte{prefix, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
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
	switch kind := signatureKind(body); kind {
	case sigKeyRevocation:
		return imp.keyRevocation(body)
	case sigSubRevocation:
		imp.subRevoked = append(imp.subRevoked, subRevocation{body, imp.at})
		return nil
	case sigCertRevocation:
		imp.revokeCertified(body)
		return nil
	}
	s, err := parseSignature(body)
	if s != nil && imp.byStranger(s) {
		return nil
	}
	if err != nil {
		imp.note(body, nil, false)
		return nil
	}
	e, rule, err := newElement(imp.primary, imp.at.uid, imp.at.subkey, body)
	if err == nil {
		imp.elements = append(imp.elements, e)
		imp.note(body, e.sig, true)
		return nil
	}
	// What does not verify is a stranger's, damaged, or about something else.
	verifies := !errors.Is(err, errWrong) && !errors.Is(err, errHashTag)
	if imp.note(body, s, false) && verifies && imp.at.subkey == nil && !imp.at.unknown {
		imp.reason, imp.rule = err, rule
	}
	return nil
}

// byStranger reports whether s names an issuer other than the primary key.
func (imp *imported) byStranger(s *signature) bool {
	return slices.ContainsFunc(issuers(s), func(id []byte) bool { return !imp.isPrimary(id) })
}

// isPrimary reports whether id is the primary key's fingerprint or key id.
func (imp *imported) isPrimary(id []byte) bool {
	return bytes.Equal(id, imp.primary.fpr.Bytes()) || bytes.Equal(id, imp.primary.keyID())
}

// issuers returns the fingerprints and key ids that a signature names as who made
// it, as far as its subpackets can be read.
func issuers(s *signature) (ids [][]byte) {
	for _, area := range [][]byte{s.hashed, s.unhashed} {
		subs, err := subpackets(area)
		if err != nil {
			continue
		}
		for _, p := range subs {
			switch {
			case p.kind == subFingerprint && len(p.body) > 0:
				ids = append(ids, p.body[1:])
			case p.kind == subIssuer:
				ids = append(ids, p.body)
			}
		}
	}
	return ids
}

// key minimises: it keeps the main user id, and others only where they say that the
// key ends earlier.
func (imp *imported) key() (*Key, error) {
	if imp.primary == nil {
		return nil, badKey("S32", "holds no key")
	}
	if err := imp.place(); err != nil {
		return nil, err
	}
	if err := imp.addSubRevocations(); err != nil {
		return nil, err
	}
	if err := cmp.Or(imp.checkRevokers(), imp.checkClock(), imp.checkSubkeys()); err != nil {
		return nil, err
	}
	uid := imp.chooseUID()
	keep := map[string]bool{}
	if uid != nil {
		keep[*uid] = true
	}
	ending := imp.ending(uid)
	if ending.uid != nil {
		keep[*ending.uid] = true
	}
	elements := slices.DeleteFunc(slices.Clone(imp.elements), func(e *element) bool {
		return e.role == roleCert && !keep[e.uid]
	})
	if !hasRole(elements, mainRole(imp.primary)) {
		return nil, imp.unusable()
	}
	k := newKey(imp.primary, elements)
	return k, imp.checkEnds(k, ending)
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
		if at, taken := imp.takenBack[string(certified(0xb4, []byte(uid)))]; taken && at >= e.sig.created {
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
	if len(imp.takenBack) > 0 {
		return badKey("S42", "has no user id that its owner has not taken back")
	}
	return badKey("S42", "has no self-signature that says what the primary key is for")
}
