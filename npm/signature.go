package npm

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/everythingstays/es/records"
)

// A Tarball is a package's file as a registry's signature names it.
type Tarball struct {
	Name    string // the registry's spelling; old names may have upper case
	Version records.Version
	SHA512  [sha512.Size]byte
}

// message is what a registry signs (SPEC.md, [Q3]).
func (t *Tarball) message() string {
	return t.Name + "@" + string(t.Version) + ":" + FormatIntegrity(t.SHA512)
}

// A SignatureProblem says why a registry's signatures do not count.
type SignatureProblem uint8

const (
	NoSignature    SignatureProblem = iota + 1 // there is none
	UnknownKey                                 // none is by a key that was given
	KeyExpired                                 // by a key that had ended before the release claims to be published
	WrongSignature                             // by a given key, and not over this tarball
)

// A SignatureError is returned by Verify.
type SignatureError struct {
	Problem SignatureProblem
	Tarball Tarball
	Key     string    // the keyid; empty for NoSignature
	Expires time.Time // for KeyExpired
}

func (e *SignatureError) Error() string {
	release := fmt.Sprintf("%q@%q", e.Tarball.Name, e.Tarball.Version)
	switch e.Problem {
	case NoSignature:
		return "the registry's signature over " + release + " is missing"
	case UnknownKey:
		return fmt.Sprintf("the registry's signature over %s is by key %q, which is not pinned", release, e.Key)
	case KeyExpired:
		return fmt.Sprintf("the registry's signature over %s is by key %q, which expired %s, before the release claims to be published",
			release, e.Key, e.Expires.UTC().Format(time.DateOnly))
	default:
		return fmt.Sprintf("the registry's signature over %s by key %q is wrong", release, e.Key)
	}
}

// Verify returns the first of keys that signed t. The order of the signatures
// means nothing; those by unknown keys are passed over. A key that has an end
// counts for releases that claim an earlier time, and for those that claim none
// (published is zero), as npm has it (SPEC.md, [Q4]). The error is a
// *SignatureError.
func Verify(keys []SigningKey, t Tarball, signatures []records.OriginSignature, published time.Time) (SigningKey, error) {
	failure := &SignatureError{Problem: NoSignature, Tarball: t}
	digest := sha256.Sum256([]byte(t.message()))
	for _, s := range signatures {
		key, ok := keyOf(keys, s.KeyID)
		if !ok {
			failure.worse(UnknownKey, s.KeyID, time.Time{})
			continue
		}
		if !ecdsa.VerifyASN1(key.public, digest[:], s.Signature) {
			failure.worse(WrongSignature, s.KeyID, time.Time{})
			continue
		}
		if !key.Expires.IsZero() && !published.IsZero() && !published.Before(key.Expires) {
			failure.worse(KeyExpired, s.KeyID, key.Expires)
			continue
		}
		return key, nil
	}
	return SigningKey{}, failure
}

// worse keeps the problem that tells most.
func (e *SignatureError) worse(p SignatureProblem, key string, expires time.Time) {
	if p > e.Problem {
		e.Problem, e.Key, e.Expires = p, key, expires
	}
}

func keyOf(keys []SigningKey, id string) (SigningKey, bool) {
	for _, k := range keys {
		if k.ID == id {
			return k, true
		}
	}
	return SigningKey{}, false
}

const sha512Prefix = "sha512-"

// FormatIntegrity writes a hash as dist.integrity and lockfiles have it.
func FormatIntegrity(hash [sha512.Size]byte) string {
	return sha512Prefix + base64.StdEncoding.EncodeToString(hash[:])
}

// ParseIntegrity returns the SHA-512 of a Subresource Integrity string: its
// single sha512, among hashes of other algorithms and with options after a "?"
// as npm allows. An integrity without one is an error: SHA-1 alone proves nothing.
func ParseIntegrity(s string) (hash [sha512.Size]byte, err error) {
	found := false
	for _, word := range strings.Fields(s) {
		encoded, ok := strings.CutPrefix(word, sha512Prefix)
		if !ok {
			continue
		}
		encoded, _, _ = strings.Cut(encoded, "?")
		b, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(b) != len(hash) {
			return hash, fmt.Errorf("integrity %q: not a SHA-512 in base64", records.Clip(s))
		}
		if found && [sha512.Size]byte(b) != hash {
			return hash, fmt.Errorf("integrity %q: two SHA-512 that differ", records.Clip(s))
		}
		hash, found = [sha512.Size]byte(b), true
	}
	if !found {
		return hash, fmt.Errorf("integrity %q: no SHA-512", records.Clip(s))
	}
	return hash, nil
}
