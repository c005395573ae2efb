package sign

import (
	"encoding/binary"
	"math"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// What the owner of a key from a file says of its end counts also where es would
// not take the signature otherwise: made with SHA-1, in version 3, with an end of
// its own, or about a user id that is dropped (SPEC.md [S150] to [S152], [S170] to [S173]). Passed
// over, it would make the key look better than it is.

// A statement is what a self-signature says about the end and the use of the primary
// key or of a subkey.
type statement struct {
	role       openpgp.Role
	certified  string             // of RoleCertification: what it is about
	isUID      bool               // whether that is a user id
	uid        *string            // the same, if a block can hold it
	subkey     *openpgp.PublicKey // of RoleSubkeyBinding
	created    uint32             // MaxUint32 if it cannot be read
	unreadable bool
	expires    int64 // Unix seconds of the key's end; math.MaxInt64 for never
	signs      bool  // whether the key is for signing
	hasFlags   bool  // whether it says what the key is for
	primaryUID bool  // whether it calls its user id the main one
	usable     bool  // whether es can keep it
	plain      bool  // whether it is not, but there are programs that heed it surely
}

// noteStatement keeps what a self-signature says that is not, for all that es can tell,
// somebody else's, and reports whether there is such. s is nil if it cannot be read.
func (imp *keyImport) noteStatement(body []byte, s *openpgp.Signature, usable bool) bool {
	st, data, ok := imp.newStatement(openpgp.SignatureType(body), imp.at)
	if !ok {
		imp.noteMisplaced(body)
		return false
	}
	made := ownerMade
	if !usable {
		made = imp.authorshipOf(body, s, data)
	}
	if made == notOwner {
		imp.noteMisplaced(body)
		return false
	}
	imp.noteStatementAt(st, body, s, usable)
	return true
}

// newStatement begins a statement of a signature of a kind at a place, with what it signs.
func (imp *keyImport) newStatement(kind byte, at position) (st statement, data [][]byte, ok bool) {
	data = [][]byte{imp.primary.Hashed()}
	switch {
	case kind == openpgp.SignatureDirectKey:
		return statement{role: openpgp.RoleDirectKey}, data, true
	case openpgp.IsCertification(kind) && at.certified != nil:
		st = statement{role: openpgp.RoleCertification, certified: string(at.certified), isUID: at.isUID, uid: at.uid}
		return st, append(data, at.certified), true
	case kind == openpgp.SignatureSubkeyBinding && at.subkey != nil:
		return statement{role: openpgp.RoleSubkeyBinding, subkey: at.subkey}, append(data, at.subkey.Hashed()), true
	}
	return statement{}, nil, false
}

// noteStatementAt completes a statement by the owner and keeps it.
func (imp *keyImport) noteStatementAt(st statement, body []byte, s *openpgp.Signature, usable bool) {
	of := imp.primary
	if st.role == openpgp.RoleSubkeyBinding {
		of = st.subkey
	}
	st.usable = usable
	switch {
	case openpgp.IsV3(body):
		st.readV3(body)
	case s == nil:
		st.created, st.unreadable = math.MaxUint32, true
	default:
		st.read(s, of)
		if st.role == openpgp.RoleSubkeyBinding && !usable {
			st.signs = st.signs && !s.IsLocal() && s.HasCrossSignature(imp.primary, of)
		}
		imp.noteRevokers(s)
	}
	imp.statements = append(imp.statements, st)
}

// readV3 is read for version 3, which has no words for an end or a use.
func (st *statement) readV3(body []byte) {
	s, _, _, _ := openpgp.ParseV3(body)
	if s == nil {
		st.created, st.unreadable = math.MaxUint32, true
		return
	}
	st.created, st.expires = s.Created, math.MaxInt64
}

// read takes what the signature says of the key that it is about. What cannot be read
// says the worst.
func (st *statement) read(s *openpgp.Signature, of *openpgp.PublicKey) {
	st.created, st.expires = math.MaxUint32, 0
	subs, err := openpgp.ParseSubpackets(s.Hashed)
	if err != nil {
		st.unreadable = true
		return
	}
	st.expires = math.MaxInt64
	_, _, st.plain = openpgp.HashFunction(s.Hash)
	var lifetimes []int64 // from when the key was made
	ownEnd := int64(-1)
	for _, p := range subs {
		switch p.Type {
		case openpgp.SubpacketCreationTime, openpgp.SubpacketExpirationTime, openpgp.SubpacketKeyExpiration:
			if len(p.Body) != 4 {
				st.created, st.expires, st.unreadable = math.MaxUint32, 0, true
				return
			}
			n := binary.BigEndian.Uint32(p.Body)
			switch {
			case p.Type == openpgp.SubpacketCreationTime:
				st.created = n
			case n != 0 && p.Type == openpgp.SubpacketExpirationTime:
				ownEnd = int64(n)
			case n != 0:
				lifetimes = append(lifetimes, int64(n))
			}
		case openpgp.SubpacketKeyFlags:
			// Of several, all must have it: programs differ in which they heed.
			has := len(p.Body) > 0 && p.Body[0]&openpgp.FlagSign != 0
			st.signs = has && (st.signs || !st.hasFlags)
			st.hasFlags = true
		case openpgp.SubpacketPrimaryUserID:
			st.primaryUID = len(p.Body) > 0 && p.Body[0] != 0
		}
		if p.Critical && !openpgp.IsProperty(p.Type) && !openpgp.IsIgnorable(p.Type) || p.Type == openpgp.SubpacketExpirationTime || p.Type == openpgp.SubpacketExportable {
			st.plain = false
		}
	}
	for _, l := range lifetimes {
		st.expires = min(st.expires, int64(of.Created)+l)
	}
	if ownEnd >= 0 {
		st.expires = min(st.expires, int64(st.created)+ownEnd)
	}
}
