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
	"time"
)

// What the owner of a key from a file says of its end counts also where es would
// not take the signature otherwise: made with SHA-1, in version 3, with an end of
// its own, or about a user id that is dropped (SPEC.md [S150] to [S153]). Passed
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
	role      role
	certified string     // of roleCert: what it is about
	uid       *string    // of roleCert, if a block can hold it
	subkey    *publicKey // of roleBinding
	created   uint32     // MaxUint32 if it cannot be read
	expires   int64      // Unix seconds of the key's end; math.MaxInt64 for never
	signs     bool       // whether the key is for signing
	hasFlags  bool       // whether it says what the key is for
	usable    bool       // whether es can keep it
}

// signatureKind returns the type of a signature packet of any version, or 0 where it
// has none.
func signatureKind(body []byte) byte {
	switch {
	case len(body) > 2 && (body[0] == 2 || body[0] == 3):
		return body[2]
	case len(body) > 1:
		return body[1]
	}
	return 0
}

// note keeps what a self-signature says that is not, for all that es can tell,
// somebody else's.
func (imp *imported) note(s *signature, usable bool) {
	st := statement{usable: usable, certified: string(imp.at.certified), uid: imp.at.uid, subkey: imp.at.subkey}
	of := imp.primary
	data := [][]byte{imp.primary.hashed()}
	switch {
	case s.kind == sigDirectKey:
		st.role, st.certified, st.uid, st.subkey = roleDirect, "", nil, nil
	case s.kind >= sigGenericCert && s.kind <= sigPositiveCert && imp.at.certified != nil:
		st.role = roleCert
		data = append(data, imp.at.certified)
	case s.kind == sigSubkeyBinding && imp.at.subkey != nil:
		st.role, of = roleBinding, imp.at.subkey
		data = append(data, of.hashed())
	default:
		return
	}
	if !usable && imp.madeBy(s, data...) == notOwner {
		return
	}
	st.read(s, of)
	imp.said = append(imp.said, st)
	imp.noteRevokers(s)
}

// read takes what the signature says of the key that it is about. What cannot be read
// says the worst.
func (st *statement) read(s *signature, of *publicKey) {
	st.created, st.expires = math.MaxUint32, 0
	subs, err := subpackets(s.hashed)
	if err != nil {
		return
	}
	st.expires = math.MaxInt64
	var lifetimes []int64 // from when the key was made
	ownEnd := int64(-1)
	for _, p := range subs {
		switch p.kind {
		case subCreated, subSigExpires, subKeyExpires:
			if len(p.body) != 4 {
				st.created, st.expires = math.MaxUint32, 0
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
			st.hasFlags = true
			st.signs = len(p.body) > 0 && p.body[0]&flagSign != 0
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
	head := s.signedHead()
	digest := digestOf(h, append(append([][]byte{s.salt}, data...), head,
		binary.BigEndian.AppendUint32([]byte{s.version, 0xff}, uint32(len(head))))...)
	if s.verifyDigest(k, h, digest) {
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
	if len(body) < head || body[0] != 3 && body[0] != 2 || body[1] != 5 {
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
	if len(body) > 0 && (body[0] == 2 || body[0] == 3) {
		v, at := imp.madeByV3(body, data...)
		return v, at, errors.New("is of version 3")
	}
	s, err := parseSignature(body)
	if err != nil {
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
		return
	}
	made, at, _ := imp.whoRevoked(body, imp.primary.hashed(), imp.at.certified)
	if made == notOwner {
		return
	}
	if imp.takenBack == nil {
		imp.takenBack = make(map[string]uint32)
	}
	imp.takenBack[string(imp.at.certified)] = max(imp.takenBack[string(imp.at.certified)], at)
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

// An end is the strictest reading of when the primary key ends and whether it signs.
type end struct {
	expires int64
	signs   bool
	uid     *string // whose certification says so, if a block can hold it
}

// ending reads all that the owner said of the primary key as each program does that
// people use, and takes the earliest end ([S151]): that of the newest direct-key
// signature; and of the newest certifications of each user id and attribute that is
// not taken back, that of the newest one, of the newest one with an end (GnuPG), and
// of the main user id (Sequoia).
func (imp *imported) ending(main *string) end {
	strictest := end{expires: math.MaxInt64, signs: true}
	for _, st := range imp.newest(roleDirect) {
		strictest.take(st, st.hasFlags)
	}
	certs := imp.newest(roleCert)
	var last, lastEnd uint32
	for _, st := range certs {
		last = max(last, st.created)
		if st.expires != math.MaxInt64 {
			lastEnd = max(lastEnd, st.created)
		}
	}
	isMain := func(st statement) bool { return main != nil && st.uid != nil && *st.uid == *main }
	for _, st := range certs {
		if isMain(st) {
			strictest.take(st, imp.primary.version == 4 || st.hasFlags)
		}
	}
	for _, st := range certs {
		switch {
		case isMain(st):
		case st.created == last:
			strictest.take(st, imp.primary.version == 4 || st.hasFlags)
		case st.created == lastEnd && st.expires != math.MaxInt64:
			strictest.take(st, false)
		}
	}
	return strictest
}

// take makes the end stricter by a statement, whose word on signing counts if flags.
func (e *end) take(st statement, flags bool) {
	if st.expires < e.expires {
		e.expires, e.uid = st.expires, st.uid
	}
	if flags && !st.signs {
		e.signs = false
		if e.uid == nil {
			e.uid = st.uid
		}
	}
}

// newest returns, of what there is of a role about one thing, the newest statements;
// nothing of what was taken back since.
func (imp *imported) newest(r role) []statement {
	last := map[string]uint32{}
	about := func(st statement) string {
		if st.subkey != nil {
			return string(st.subkey.fpr.Bytes())
		}
		return st.certified
	}
	for _, st := range imp.said {
		if st.role == r {
			last[about(st)] = max(last[about(st)], st.created)
		}
	}
	var list []statement
	for _, st := range imp.said {
		taken, isTaken := imp.takenBack[st.certified]
		if st.role == r && st.created == last[about(st)] && !(r == roleCert && isTaken && taken >= st.created) {
			list = append(list, st)
		}
	}
	return list
}

// checkEnds refuses a key whose owner says in the file that it ends, or is not for
// signing, and whose block cannot say so.
func (imp *imported) checkEnds(k *Key, primary end) error {
	if k.revocation(nil) != nil {
		return nil
	}
	if at, ok := k.primaryExpiry(); primary.expires != math.MaxInt64 && (!ok || primary.expires < at) {
		return tooGood("the key", primary.expires)
	}
	if !primary.signs && k.primarySigns(math.MaxInt64) {
		return badKey("S151", "has a newer self-signature that takes signing from the key, in a form that es cannot keep: have your OpenPGP program sign the user ids again with SHA-256")
	}
	for _, st := range imp.newest(roleBinding) {
		if k.signingSubkey(st.subkey.fpr) == nil || k.revocation(st.subkey) != nil {
			continue
		}
		if at, ok := k.expiry(st.subkey, roleBinding); st.expires != math.MaxInt64 && (!ok || st.expires < at) {
			return tooGood("subkey "+st.subkey.fpr.String(), st.expires)
		}
		if !st.signs {
			return badKey("S152", "has a newer binding that takes signing from subkey %s: export the key without that subkey", st.subkey.fpr)
		}
	}
	return nil
}

func tooGood(what string, at int64) error {
	when := "at once"
	if at > 0 {
		when = unixTime(at).Format(time.DateOnly)
	}
	return badKey("S151", "has a self-signature that ends %s (%s) in a form that es cannot keep, such as SHA-1: have your OpenPGP program set the expiry again with SHA-256", what, when)
}
