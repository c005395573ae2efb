package sign

import (
	"bytes"
	"errors"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
	"github.com/ipfs/go-cid"
)

// Verified is a record whose signature was verified. Only Unverified.Verify makes
// one; the zero value is of no use.
type Verified struct {
	record      *records.Record
	recordBytes []byte
	signature   []byte
	envelope    []byte
	signedAt    int64
	signingKey  records.Fingerprint
}

// Record returns the record. It must not be modified.
func (v Verified) Record() *records.Record { return v.record }

// ID returns the record's CID.
func (v Verified) ID() cid.Cid { return records.ID(v.recordBytes) }

// RecordBytes returns the record's canonical encoding, which was signed. It must
// not be modified, nor must what the other methods return.
func (v Verified) RecordBytes() []byte { return v.recordBytes }

// Signature returns the OpenPGP signature packet.
func (v Verified) Signature() []byte { return v.signature }

// Envelope returns the bytes that were opened.
func (v Verified) Envelope() []byte { return v.envelope }

// EnvelopeID returns the CID of the envelope's block.
func (v Verified) EnvelopeID() cid.Cid { return records.EnvelopeID(v.envelope) }

// SignedAt returns when the signature says it was made.
func (v Verified) SignedAt() time.Time { return unixTime(v.signedAt) }

// SigningKey returns the fingerprint of the key that signed: the author's
// primary key or one of its subkeys.
func (v Verified) SigningKey() records.Fingerprint { return v.signingKey }

// Check says whether the signature counts by a newer key block of its author.
// The error is a *KeyError.
func (v Verified) Check(newer *Key) error {
	if newer.Fingerprint() != v.record.Author {
		return &KeyError{Fingerprint: newer.Fingerprint(), Problem: DifferentOwner}
	}
	return newer.check(v.signingKey, v.signedAt)
}

// Keys finds key blocks by full fingerprint.
type Keys interface {
	Key(records.Fingerprint) (*Key, bool)
}

// KeyRing is a set of keys in memory, by primary fingerprint.
type KeyRing map[records.Fingerprint]*Key

// Key returns the key with this primary fingerprint.
func (r KeyRing) Key(f records.Fingerprint) (*Key, bool) {
	k, ok := r[f]
	return k, ok
}

// Unverified is a decoded envelope whose signature nobody has verified. Only Decode
// makes one; the zero value is of no use.
type Unverified struct {
	envelope *records.Envelope
	bytes    []byte
}

// Decode reads an envelope and verifies nothing. The error is a *SignatureError.
func Decode(envelope []byte) (Unverified, error) {
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return Unverified{}, &SignatureError{Rule: "S1", Err: err}
	}
	return Unverified{e, envelope}, nil
}

// Record returns the record, which anybody may have made. It must not be modified.
func (u Unverified) Record() *records.Record { return u.envelope.Record }

// ID returns the record's CID.
func (u Unverified) ID() cid.Cid { return records.ID(u.envelope.RecordBytes) }

// Open decodes an envelope and verifies it as Unverified.Verify does.
func Open(envelope []byte, keys Keys) (Verified, error) {
	u, err := Decode(envelope)
	if err != nil {
		return Verified{}, err
	}
	return u.Verify(keys)
}

// Verify verifies the signature by the author's key. The error is a *SignatureError,
// a *KeyError or an *UnknownKeyError. It reads no clock.
//
// What the bytes alone decide comes first, then the signature itself, and last
// what revocations and expiry say: a KeyError means that the named key did sign.
func (u Unverified) Verify(keys Keys) (Verified, error) {
	e := u.envelope
	s, signer, err := readRecordSignature(e)
	if err != nil {
		return Verified{}, err
	}
	key, ok := keys.Key(e.Record.Author)
	if !ok {
		return Verified{}, &UnknownKeyError{Fingerprint: e.Record.Author}
	}
	if key.Fingerprint() != e.Record.Author {
		return Verified{}, &KeyError{Fingerprint: key.Fingerprint(), Problem: DifferentOwner}
	}
	if err := verifyRecordSignature(s, signer, key, e.RecordBytes); err != nil {
		return Verified{}, err
	}
	v := Verified{
		record:      e.Record,
		recordBytes: e.RecordBytes,
		signature:   e.Signature,
		envelope:    u.bytes,
		signedAt:    int64(s.Created),
		signingKey:  signer,
	}
	if err := key.check(signer, v.signedAt); err != nil {
		return Verified{}, err
	}
	return v, nil
}

// SignedBy returns which key the signature of an envelope names as its own, a
// primary key or a subkey, and when it says that it was made. It verifies nothing:
// it is for envelopes that were opened before. The error is a *SignatureError.
func SignedBy(envelope []byte) (signer records.Fingerprint, at time.Time, err error) {
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return signer, at, &SignatureError{Rule: "S1", Err: err}
	}
	s, signer, err := readRecordSignature(e)
	if err != nil {
		return signer, at, err
	}
	return signer, unixTime(int64(s.Created)), nil
}

// ContextNotation names the notation that says what kind of record a signature
// is for. It keeps signatures that were made for something else, over bytes that
// happen to be a record, from counting.
const ContextNotation = "context@everythingstays.com"

// saltNotation is what go-crypto adds so that a fault while signing reveals
// nothing.
const saltNotation = "salt@notations.openpgpjs.org"

const maxSalt = 32 // bytes

// readRecordSignature checks all that needs no key and returns who claims to
// have signed.
func readRecordSignature(e *records.Envelope) (*openpgp.Signature, records.Fingerprint, error) {
	var none records.Fingerprint
	p, rest, err := openpgp.NextPacket(e.Signature)
	switch {
	case err != nil:
		return nil, none, badSignature("S2", "%w", err)
	case !p.Canonical || len(rest) > 0 || p.Type != openpgp.PacketSignature:
		return nil, none, badSignature("S2", "is not exactly one signature packet with the shortest new-format header")
	}
	if version := e.Record.Author.Version(); len(p.Body) == 0 || int(p.Body[0]) != version {
		return nil, none, badSignature("S3", "is not of version %d, as the author's key is", version)
	}
	s, err := openpgp.ParseSignature(p.Body)
	if err != nil {
		return nil, none, badSignature("S2", "%w", err)
	}
	if s.Type != openpgp.SignatureBinary {
		return nil, none, badSignature("S4", "is of type 0x%02x, not over binary data", s.Type)
	}
	if rule, err := s.CheckForm(); err != nil {
		return nil, none, &SignatureError{Rule: rule, Err: err}
	}
	if len(s.Unhashed) > 0 {
		return nil, none, badSignature("S10", "has unhashed subpackets, which anybody can change")
	}
	signer, err := readRecordSubpackets(s, e.Record)
	if err != nil {
		return nil, none, err
	}
	if !bytes.Equal(openpgp.AppendPacket(nil, openpgp.PacketSignature, s.AppendBody(nil, nil)), e.Signature) {
		return nil, none, badSignature("S2", "is not in canonical form")
	}
	return s, signer, nil
}

// readRecordSubpackets checks that the hashed subpackets are those that a
// record's signature has, and no others.
func readRecordSubpackets(s *openpgp.Signature, r *records.Record) (records.Fingerprint, error) {
	var signer records.Fingerprint
	if err := s.ReadProperties(); err != nil {
		return signer, badSignature("S7", "%w", err)
	}
	var keyID []byte
	var contexts, salts int
	for _, p := range s.Subpackets {
		switch p.Type {
		case openpgp.SubpacketCreationTime, openpgp.SubpacketSignerUserID:
		case openpgp.SubpacketIssuerKeyID:
			keyID = p.Body
		case openpgp.SubpacketIssuerFingerprint:
			f, err := issuer(p.Body, s.Version)
			if err != nil {
				return signer, err
			}
			signer = f
		case openpgp.SubpacketNotation:
			if err := checkNotation(p, records.Context(r.Body), &contexts, &salts); err != nil {
				return signer, err
			}
		default:
			return signer, badSignature("S7", "has a subpacket of type %d", p.Type)
		}
	}
	switch {
	case signer.IsZero():
		return signer, badSignature("S7", "does not name its key by fingerprint")
	case keyID != nil && (s.Version != 4 || !bytes.Equal(keyID, signer.Bytes()[12:])):
		return signer, badSignature("S7", "has a key id that is not its fingerprint's")
	case contexts != 1:
		return signer, badSignature("S8", "has %d notations %s, it must have one", contexts, ContextNotation)
	case int64(s.Created) < r.Time || int64(s.Created) > r.Time+records.SigningDelay:
		return signer, badSignature("S12", "was made at %d, the record is of %d and allows %d seconds", s.Created, r.Time, records.SigningDelay)
	}
	return signer, nil
}

func issuer(body []byte, version byte) (records.Fingerprint, error) {
	if len(body) == 0 || body[0] != version {
		return records.Fingerprint{}, badSignature("S7", "names a key of another version")
	}
	f, err := records.FingerprintFromBytes(body[1:])
	if err != nil || f.Version() != int(version) {
		return records.Fingerprint{}, badSignature("S7", "has a malformed issuer fingerprint")
	}
	return f, nil
}

func checkNotation(p openpgp.Subpacket, context string, contexts, salts *int) error {
	n, err := openpgp.ParseNotation(p.Body)
	if err != nil {
		return badSignature("S7", "%w", err)
	}
	switch n.Name {
	case ContextNotation:
		*contexts++
		if p.Critical || n.Flags != [4]byte{0x80} {
			return badSignature("S8", "has a notation %s that is critical or not human-readable", n.Name)
		}
		if n.Value != context {
			return badSignature("S8", "was made for %q, the record is %q", records.CleanText(n.Value, 64), context)
		}
	case saltNotation:
		*salts++
		if *salts > 1 || p.Critical || n.Flags != [4]byte{} || len(n.Value) > maxSalt {
			return badSignature("S9", "has a malformed salt notation")
		}
	default:
		return badSignature("S9", "has the notation %q, which no signature of es has", records.CleanText(n.Name, 64))
	}
	return nil
}

// verifyRecordSignature does the arithmetic. That a subkey is the author's is in
// the key block; one that is missing there may be in a newer block.
func verifyRecordSignature(s *openpgp.Signature, signer records.Fingerprint, key *Key, record []byte) error {
	k := key.byFingerprint(signer)
	if k == nil {
		return &KeyError{Fingerprint: signer, Problem: MissingSubkey, Rule: "S25"}
	}
	if s.Created < k.Created || s.Created < key.primary.Created {
		return badSignature("S13", "was made at %d, before its key", s.Created)
	}
	if s.Algorithm != k.Algorithm {
		return badSignature("S14", "has public-key algorithm %d, its key %d", s.Algorithm, k.Algorithm)
	}
	switch err := s.Verify(k, record); {
	case errors.Is(err, openpgp.ErrHashTag):
		return badSignature("S15", "%w", err)
	case err != nil:
		return badSignature("S16", "%w", err)
	}
	return nil
}
