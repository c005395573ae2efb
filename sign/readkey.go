package sign

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
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
	binary, err := openpgp.Dearmor(file, MaxKeyFile)
	if err != nil {
		return nil, badKey("S47", "%w", err)
	}
	imp := keyImport{latest: last}
	for rest := binary; len(rest) > 0; {
		p, after, err := openpgp.NextPacket(rest)
		if err != nil {
			return nil, badKey("S31", "%w", err)
		}
		if err := imp.addPacket(p); err != nil {
			return nil, err
		}
		rest = after
	}
	return imp.key()
}

// keyImport gathers the elements of a key from a file, and all statements of its owner
// there about when keys end.
type keyImport struct {
	latest   uint32 // what is dated later is of the future
	primary  *openpgp.PublicKey
	elements []*openpgp.Element

	at                 position
	positions          []position // so far, what signatures may be about
	statements         []statement
	misplaced          [][]byte          // signatures that are not about what they stand behind
	certRevoked        map[string]uint32 // certified packet -> when it was revoked
	certRevokedPlainly map[string]uint32 // the same, by revocations that every program takes
	subkeyRevocations  []subkeyRevocation
	revokers           map[string]bool // fingerprints of those who may revoke in the owner's place
	thirdPartyRevokers []string        // fingerprints or key ids that key revocations by others name

	reason error // why the last self-signature was dropped
	rule   string
}

// A resolveMisplaced is what the signatures of a key that come next are about.
type position struct {
	certified []byte             // a user id or attribute as signatures hash it; nil if none
	isUID     bool               // whether that is a user id
	uid       *string            // a user id that a block can hold
	subkey    *openpgp.PublicKey // a subkey that a block can hold
	unknown   bool               // a subkey that it cannot
}

func (imp *keyImport) addPacket(p openpgp.Packet) error {
	if imp.primary == nil {
		return imp.addPrimary(p)
	}
	switch p.Type {
	case openpgp.PacketPublicKey, openpgp.PacketSecretKey:
		return badKey("S32", "holds more than one key")
	case openpgp.PacketUserID:
		imp.at = position{certified: certified(0xb4, p.Body), isUID: true}
		// GnuPG does not look behind the first subkey (SPEC.md [S171]).
		if len(p.Body) <= openpgp.MaxUserID && !imp.afterSubkey() {
			s := string(p.Body)
			imp.at.uid = &s
		}
	case openpgp.PacketUserAttribute:
		imp.at = position{certified: certified(0xd1, p.Body)}
	case openpgp.PacketPublicSubkey, openpgp.PacketSecretSubkey:
		k, _, err := openpgp.CutPublicKey(p.Body)
		if err != nil || k.Version != imp.primary.Version {
			k = nil
		}
		imp.at = position{subkey: k, unknown: k == nil}
	case openpgp.PacketSignature:
		return imp.addSignature(p.Body)
	default:
		return nil // markers, trust, padding, and what this format may bring
	}
	imp.positions = append(imp.positions, imp.at)
	return nil
}

func (imp *keyImport) afterSubkey() bool {
	return slices.ContainsFunc(imp.positions, func(at position) bool { return at.subkey != nil || at.unknown })
}

func certified(prefix byte, body []byte) []byte {
	n := len(body)
	return append([]byte{prefix, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

func (imp *keyImport) addPrimary(p openpgp.Packet) (err error) {
	switch p.Type {
	case openpgp.PacketMarker, openpgp.PacketPadding:
		return nil
	case openpgp.PacketPublicKey:
		imp.primary, err = openpgp.ParsePublicKey(p.Body)
	case openpgp.PacketSecretKey:
		imp.primary, _, err = openpgp.CutPublicKey(p.Body)
	default:
		return badKey("S32", "begins with packet type %d, not with a key", p.Type)
	}
	if err != nil {
		return badKey("S33", "primary key %w", err)
	}
	return nil
}

func (imp *keyImport) addSignature(body []byte) error {
	switch kind := openpgp.SignatureType(body); kind {
	case openpgp.SignatureKeyRevocation:
		return imp.addKeyRevocation(body)
	case openpgp.SignatureSubkeyRevocation:
		imp.subkeyRevocations = append(imp.subkeyRevocations, subkeyRevocation{body, imp.at})
		return nil
	case openpgp.SignatureCertRevocation:
		imp.certRevocation(body)
		return nil
	}
	s, err := openpgp.ParseSignature(body)
	if s != nil && imp.isThirdParty(s) {
		return nil
	}
	if err != nil {
		imp.noteStatement(body, nil, false)
		return nil
	}
	e, rule, err := openpgp.ParseElement(imp.primary, imp.at.uid, imp.at.subkey, body)
	if err == nil {
		imp.elements = append(imp.elements, e)
		imp.noteStatement(body, e.Signature, true)
		return nil
	}
	// What does not verify is a third party's, damaged, or about something else.
	verifies := !errors.Is(err, openpgp.ErrNotVerified) && !errors.Is(err, openpgp.ErrHashTag)
	if imp.noteStatement(body, s, false) && verifies && imp.at.subkey == nil && !imp.at.unknown {
		imp.reason, imp.rule = err, rule
	}
	return nil
}

// key minimises: it keeps the main user id, and others only where they say that the
// key ends earlier.
func (imp *keyImport) key() (*Key, error) {
	if imp.primary == nil {
		return nil, badKey("S32", "holds no key")
	}
	if err := imp.resolveMisplaced(); err != nil {
		return nil, err
	}
	if err := imp.addSubkeyRevocations(); err != nil {
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
	ending := imp.strictestEnd(uid)
	if ending.uid != nil {
		keep[*ending.uid] = true
	}
	elements := slices.DeleteFunc(slices.Clone(imp.elements), func(e *openpgp.Element) bool {
		return e.Role == openpgp.RoleCertification && !keep[e.UserID]
	})
	if !hasRole(elements, openpgp.MainRole(imp.primary)) {
		return nil, imp.unusable()
	}
	k := newKey(imp.primary, elements)
	return k, imp.checkEnds(k, ending)
}

// chooseUID picks the user id that the owner calls primary, or else the one
// certified last, among those not revoked since.
func (imp *keyImport) chooseUID() *string {
	newest := make(map[string]*openpgp.Element)
	for _, e := range imp.elements {
		if e.Role == openpgp.RoleCertification && (newest[e.UserID] == nil || openpgp.ByPriority(e, newest[e.UserID]) < 0) {
			newest[e.UserID] = e
		}
	}
	var best *openpgp.Element
	for uid, e := range newest {
		if at, taken := imp.certRevoked[string(certified(0xb4, []byte(uid)))]; taken && at >= e.Signature.Created {
			continue
		}
		if best == nil || compareUserIDs(e, best) < 0 {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	return &best.UserID
}

func (imp *keyImport) unusable() error {
	if imp.reason != nil {
		return badKey(imp.rule, "has no self-signature that es can use: %w", imp.reason)
	}
	if len(imp.certRevoked) > 0 {
		return badKey("S42", "has no user id that its owner has not taken back")
	}
	return badKey("S42", "has no self-signature that says what the primary key is for")
}
