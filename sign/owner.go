package sign

import (
	"bytes"
	"cmp"
	"crypto"
	_ "crypto/md5"  // for revocations made with it
	_ "crypto/sha1" // likewise
	"encoding/binary"
	"errors"
	"hash"
	"math"
	"slices"
)

// What the owner of a key from a file says of its end counts also where es would
// not take the signature otherwise: made with SHA-1, in version 3, with an end of
// its own, or about a user id that is dropped (SPEC.md [S150] to [S152], [S170] to [S173]). Passed
// over, it would make the key look better than it is.

// An authorship says whether a signature was made by the primary key.
type authorship int

const (
	notOwner  authorship = iota
	maybe                // es cannot tell: an algorithm or a form that it does not know
	ownerMade            // whatever the algorithm is worth
)

// A statement is what a self-signature says about the end and the use of the primary
// key or of a subkey.
type statement struct {
	role       role
	certified  string     // of roleCert: what it is about
	isUID      bool       // whether that is a user id
	uid        *string    // the same, if a block can hold it
	subkey     *publicKey // of roleBinding
	created    uint32     // MaxUint32 if it cannot be read
	unreadable bool
	expires    int64 // Unix seconds of the key's end; math.MaxInt64 for never
	signs      bool  // whether the key is for signing
	hasFlags   bool  // whether it says what the key is for
	primaryUID bool  // whether it calls its user id the main one
	usable     bool  // whether es can keep it
	plain      bool  // whether it is not, but there are programs that heed it surely
}

// signatureKind returns the type of a signature packet of any version, or 0 where it
// has none.
func signatureKind(body []byte) byte {
	switch {
	case len(body) > 2 && isV3(body):
		return body[2]
	case len(body) > 1:
		return body[1]
	}
	return 0
}

// note keeps what a self-signature says that is not, for all that es can tell,
// somebody else's, and reports whether there is such. s is nil if it cannot be read.
func (imp *imported) note(body []byte, s *signature, usable bool) bool {
	st, data, ok := imp.about(signatureKind(body), imp.at)
	if !ok {
		imp.strayed(body)
		return false
	}
	made := ownerMade
	if !usable {
		made = imp.madeByOwner(body, s, data)
	}
	if made == notOwner {
		imp.strayed(body)
		return false
	}
	imp.noteAt(st, body, s, usable)
	return true
}

// about begins a statement of a signature of a kind at a place, with what it signs.
func (imp *imported) about(kind byte, at place) (st statement, data [][]byte, ok bool) {
	data = [][]byte{imp.primary.hashed()}
	switch {
	case kind == sigDirectKey:
		return statement{role: roleDirect}, data, true
	case isCertification(kind) && at.certified != nil:
		st = statement{role: roleCert, certified: string(at.certified), isUID: at.isUID, uid: at.uid}
		return st, append(data, at.certified), true
	case kind == sigSubkeyBinding && at.subkey != nil:
		return statement{role: roleBinding, subkey: at.subkey}, append(data, at.subkey.hashed()), true
	}
	return statement{}, nil, false
}

func isCertification(kind byte) bool { return kind >= sigGenericCert && kind <= sigPositiveCert }

// madeByOwner is madeBy for a signature of any version.
func (imp *imported) madeByOwner(body []byte, s *signature, data [][]byte) authorship {
	if isV3(body) {
		made, _ := imp.madeByV3(body, data...)
		return made
	}
	if s == nil {
		return maybe
	}
	return imp.madeBy(s, data...)
}

// noteAt completes a statement by the owner and keeps it.
func (imp *imported) noteAt(st statement, body []byte, s *signature, usable bool) {
	of := imp.primary
	if st.role == roleBinding {
		of = st.subkey
	}
	st.usable = usable
	switch {
	case isV3(body):
		st.readV3(body)
	case s == nil:
		st.created, st.unreadable = math.MaxUint32, true
	default:
		st.read(s, of)
		if st.role == roleBinding && !usable {
			st.signs = st.signs && !s.isLocal() && s.hasCross(imp.primary, of)
		}
		imp.noteRevokers(s)
	}
	imp.said = append(imp.said, st)
}

// isLocal reports whether a signature is not for others.
func (s *signature) isLocal() bool {
	subs, err := subpackets(s.hashed)
	return err != nil || slices.ContainsFunc(subs, func(p subpacket) bool { return p.kind == subExportable && !bytes.Equal(p.body, []byte{1}) })
}

// hasCross reports whether a binding carries a cross-signature that verifies.
func (s *signature) hasCross(primary, subkey *publicKey) bool {
	for _, area := range [][]byte{s.hashed, s.unhashed} {
		subs, err := subpackets(area)
		if err != nil {
			return false
		}
		for _, p := range subs {
			if p.kind == subEmbedded {
				_, err := verifyCross(primary, subkey, p.body)
				return err == nil
			}
		}
	}
	return false
}

func isV3(body []byte) bool { return len(body) > 0 && (body[0] == 2 || body[0] == 3) }

// readV3 is read for version 3, which has no words for an end or a use.
func (st *statement) readV3(body []byte) {
	s, _, _, _ := parseV3(body)
	if s == nil {
		st.created, st.unreadable = math.MaxUint32, true
		return
	}
	st.created, st.expires = s.created, math.MaxInt64
}

// read takes what the signature says of the key that it is about. What cannot be read
// says the worst.
func (st *statement) read(s *signature, of *publicKey) {
	st.created, st.expires = math.MaxUint32, 0
	subs, err := subpackets(s.hashed)
	if err != nil {
		st.unreadable = true
		return
	}
	st.expires = math.MaxInt64
	_, _, st.plain = hashFunction(s.hash)
	var lifetimes []int64 // from when the key was made
	ownEnd := int64(-1)
	for _, p := range subs {
		switch p.kind {
		case subCreated, subSigExpires, subKeyExpires:
			if len(p.body) != 4 {
				st.created, st.expires, st.unreadable = math.MaxUint32, 0, true
				return
			}
			n := binary.BigEndian.Uint32(p.body)
			switch {
			case p.kind == subCreated:
				st.created = n
			case n != 0 && p.kind == subSigExpires:
				ownEnd = int64(n)
			case n != 0:
				lifetimes = append(lifetimes, int64(n))
			}
		case subKeyFlags:
			// Of several, all must have it: programs differ in which they heed.
			has := len(p.body) > 0 && p.body[0]&flagSign != 0
			st.signs = has && (st.signs || !st.hasFlags)
			st.hasFlags = true
		case subPrimaryUID:
			st.primaryUID = len(p.body) > 0 && p.body[0] != 0
		}
		if p.critical && !isProperty(p.kind) && !harmless(p.kind) || p.kind == subSigExpires || p.kind == subExportable {
			st.plain = false
		}
	}
	for _, l := range lifetimes {
		st.expires = min(st.expires, int64(of.created)+l)
	}
	if ownEnd >= 0 {
		st.expires = min(st.expires, int64(st.created)+ownEnd)
	}
}

// madeBy verifies s as the primary key's with any hash that there is.
func (imp *imported) madeBy(s *signature, data ...[]byte) authorship {
	k := imp.primary
	if s.version != k.version || s.algo != k.algo {
		return maybeBy(imp, s)
	}
	h, ok := anyHash(s.hash)
	if !ok {
		return maybeBy(imp, s)
	}
	if s.verifyDigest(k, h, s.digest(h, data...)) {
		return ownerMade
	}
	return notOwner
}

// maybeBy is for a signature that cannot be verified: it is the owner's unless it
// names somebody else.
func maybeBy(imp *imported, s *signature) authorship {
	if imp.byStranger(s) {
		return notOwner
	}
	return maybe
}

func digestOf(h crypto.Hash, data ...[]byte) []byte {
	var sum hash.Hash = h.New()
	for _, d := range data {
		sum.Write(d)
	}
	return sum.Sum(nil)
}

// anyHash returns the hashes of RFC 9580 section 9.5, weak ones too, that Go can
// verify signatures with.
func anyHash(id byte) (crypto.Hash, bool) {
	switch id {
	case 1:
		return crypto.MD5, true
	case 2:
		return crypto.SHA1, true
	case 11:
		return crypto.SHA224, true
	}
	h, _, ok := hashFunction(id)
	return h, ok
}

// parseV3 reads a signature of version 3 (RFC 4880 section 5.2.2) and returns what
// it signs of itself.
func parseV3(body []byte) (s *signature, tail, keyID []byte, err error) {
	const head = 1 + 1 + 1 + 4 + 8 + 1 + 1 + 2
	if len(body) < head || !isV3(body) || body[1] != 5 {
		return nil, nil, nil, errTruncated
	}
	s = &signature{version: body[0], kind: body[2], algo: body[15], hash: body[16]}
	s.created = binary.BigEndian.Uint32(body[3:])
	return s, body[2:7], body[7:15], s.readNumbers(body[head:])
}

// madeByV3 is madeBy for a signature of version 3, with when it was made.
func (imp *imported) madeByV3(body []byte, data ...[]byte) (authorship, uint32) {
	s, tail, keyID, err := parseV3(body)
	if s == nil {
		return maybe, math.MaxUint32
	}
	if !bytes.Equal(keyID, imp.primary.keyID()) {
		return notOwner, s.created
	}
	h, ok := anyHash(s.hash)
	if err != nil || !ok || s.algo != imp.primary.algo {
		return maybe, s.created
	}
	if s.verifyDigest(imp.primary, h, digestOf(h, append(data, tail)...)) {
		return ownerMade, s.created
	}
	return notOwner, s.created
}

// whoRevoked says whether the primary key made a revocation over data, and when.
func (imp *imported) whoRevoked(body []byte, data ...[]byte) (authorship, uint32, error) {
	if isV3(body) {
		v, at := imp.madeByV3(body, data...)
		return v, at, errors.New("is of version 3")
	}
	s, err := parseSignature(body)
	if err != nil {
		if s != nil && imp.byStranger(s) {
			return notOwner, 0, err
		}
		return maybe, math.MaxUint32, err
	}
	var st statement
	st.read(s, imp.primary)
	return imp.madeBy(s, data...), st.created, nil
}

// keyRevocation takes a revocation of the primary key, wherever it stands. One that a
// block cannot hold makes the key unusable.
func (imp *imported) keyRevocation(body []byte) error {
	e, _, err := newElement(imp.primary, nil, nil, body)
	if err == nil {
		imp.elements = append(imp.elements, e)
		return nil
	}
	made, _, why := imp.whoRevoked(body, imp.primary.hashed())
	if made != notOwner {
		return badKey("S150", "carries a revocation that es cannot keep: %w", cmp.Or(why, err))
	}
	if s, err := parseSignature(body); err == nil {
		for _, id := range issuers(s) {
			imp.byOthers = append(imp.byOthers, string(id))
		}
	}
	return nil
}

// A subRevocation is a revocation of the subkey that it stood behind, or of another.
type subRevocation struct {
	body []byte
	at   place
}

// mayBeOf reports whether a revocation at this place that cannot be verified may be of
// a subkey: no other subkey stands before it.
func (at place) mayBeOf(subkey *publicKey) bool {
	return !at.unknown && (at.subkey == nil || at.subkey.fpr == subkey.fpr)
}

// addSubRevocations finds the signing subkeys that revocations are about.
func (imp *imported) addSubRevocations() error {
	var subkeys []*publicKey
	for _, e := range imp.elements {
		if e.role == roleBinding && !slices.ContainsFunc(subkeys, func(k *publicKey) bool { return k.fpr == e.subkey.fpr }) {
			subkeys = append(subkeys, e.subkey)
		}
	}
	for _, r := range imp.subRevoked {
		for _, subkey := range subkeys {
			e, _, err := newElement(imp.primary, nil, subkey, r.body)
			if err == nil {
				imp.elements = append(imp.elements, e)
				continue
			}
			made, _, why := imp.whoRevoked(r.body, imp.primary.hashed(), subkey.hashed())
			if made == ownerMade || made == maybe && r.at.mayBeOf(subkey) {
				return badKey("S150", "carries a revocation of a subkey that es cannot keep: %w", cmp.Or(why, err))
			}
		}
	}
	return nil
}

// revokeCertified notes that the owner took a user id or attribute back. Blocks do
// not carry that, because a user id is a label here; but it is no label to choose any
// more, and what it says of the key's end is no longer renewed.
func (imp *imported) revokeCertified(body []byte) {
	if imp.at.certified == nil {
		imp.strayed(body)
		return
	}
	made, at, _ := imp.whoRevoked(body, imp.primary.hashed(), imp.at.certified)
	if made == notOwner {
		imp.strayed(body)
		return
	}
	imp.takenBackAt(string(imp.at.certified), body, at)
}

// takenBackAt keeps when the owner took something back. It relieves the owner of what
// was said of it before only in a form that every program heeds.
func (imp *imported) takenBackAt(certified string, body []byte, at uint32) {
	if imp.takenBack == nil {
		imp.takenBack, imp.relieved = make(map[string]uint32), make(map[string]uint32)
	}
	imp.takenBack[certified] = max(imp.takenBack[certified], at)
	if s, err := parseSignature(body); err == nil && at <= imp.last && s.plainlyBy(imp.primary, []byte(certified)) {
		imp.relieved[certified] = max(imp.relieved[certified], at)
	}
}

// plainlyBy reports whether a revocation of something certified is one that could
// stand in a block, if blocks held those.
func (s *signature) plainlyBy(primary *publicKey, certified []byte) bool {
	s.lowerS()
	s.minimal = true
	if _, err := s.checkForm(); err != nil {
		return false
	}
	return s.readProperties() == nil && s.checkLasting(false) == nil && s.verify(primary, primary.hashed(), certified) == nil
}

// noteRevokers reads whom the owner names to revoke in their place.
func (imp *imported) noteRevokers(s *signature) {
	const subRevoker = 12
	subs, err := subpackets(s.hashed)
	if err != nil {
		return
	}
	for _, p := range subs {
		if p.kind == subRevoker && len(p.body) >= 22 {
			if imp.revokers == nil {
				imp.revokers = make(map[string]bool)
			}
			f := p.body[2:]
			imp.revokers[string(f)] = true
			if len(f) == 20 {
				imp.revokers[string(f[12:])] = true
			} else {
				imp.revokers[string(f[:8])] = true
			}
		}
	}
}

// checkRevokers refuses a key with a revocation by somebody whom its owner named for
// that: their key is not at hand to check it by.
func (imp *imported) checkRevokers() error {
	for _, id := range imp.byOthers {
		if imp.revokers[id] {
			return badKey("S150", "carries a revocation by a key that its owner named as a revoker, which es cannot check")
		}
	}
	return nil
}
