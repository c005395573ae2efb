package npm

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/records"
)

// MaxAttestations is how many bytes a registry's attestations of one release may
// have (SPEC.md, [Q6]).
const MaxAttestations = 1 << 20

const (
	publishPredicate = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
	inTotoPayload    = "application/vnd.in-toto+json"
)

// An Attestation is one statement about a release, as the registry has it.
type Attestation struct {
	PredicateType string         `json:"predicateType"`
	Bundle        jsontext.Value `json:"bundle"`
}

// ParseAttestations reads the answer of a registry's attestations endpoint.
// Nothing of it is verified.
func ParseAttestations(b []byte) ([]Attestation, error) {
	if len(b) > MaxAttestations {
		return nil, fmt.Errorf("read attestations: %d bytes, the limit is %d", len(b), MaxAttestations)
	}
	var doc struct {
		Attestations []Attestation `json:"attestations"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("read attestations: %v", err)
	}
	return doc.Attestations, nil
}

// IsPublish reports whether a claims to be the registry's own statement that it
// published the release, which VerifyPublish verifies. Others (provenance by
// keyless signatures) are carried and never decide.
func (a *Attestation) IsPublish() bool { return a.PredicateType == publishPredicate }

// VerifyPublish checks the registry's publish attestation of t: a DSSE envelope
// signed by one of keys over an in-toto statement whose one subject is t
// (SPEC.md, [Q7]).
func VerifyPublish(keys []SigningKey, t Tarball, a Attestation) (SigningKey, error) {
	key, err := verifyPublish(keys, t, a)
	if err != nil {
		return SigningKey{}, fmt.Errorf("publish attestation of %q@%q: %w", t.Name, t.Version, err)
	}
	return key, nil
}

func verifyPublish(keys []SigningKey, t Tarball, a Attestation) (SigningKey, error) {
	if !a.IsPublish() {
		return SigningKey{}, fmt.Errorf("is a statement of another type, %q", records.Clip(a.PredicateType))
	}
	var bundle struct {
		Envelope struct {
			Payload     string `json:"payload"`
			PayloadType string `json:"payloadType"`
			Signatures  []struct {
				KeyID     string `json:"keyid"`
				Signature string `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(a.Bundle, &bundle); err != nil {
		return SigningKey{}, err
	}
	e := bundle.Envelope
	payload, err := base64.StdEncoding.Strict().DecodeString(e.Payload)
	if err != nil {
		return SigningKey{}, fmt.Errorf("payload: %v", err)
	}
	if e.PayloadType != inTotoPayload {
		return SigningKey{}, fmt.Errorf("the payload has another type, %q", records.Clip(e.PayloadType))
	}
	digest := sha256.Sum256(preAuthEncoding(e.PayloadType, payload))
	for _, s := range e.Signatures {
		key, ok := keyOf(keys, s.KeyID)
		if !ok {
			continue
		}
		sig, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
		if err != nil || !ecdsa.VerifyASN1(key.public, digest[:], sig) {
			continue
		}
		return key, checkStatement(payload, t)
	}
	return SigningKey{}, errors.New("no signature by a pinned key over it")
}

// preAuthEncoding is what a DSSE signature is over.
func preAuthEncoding(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

func checkStatement(payload []byte, t Tarball) error {
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Name   string `json:"name"`
			Digest struct {
				SHA512 string `json:"sha512"`
			} `json:"digest"`
		} `json:"subject"`
		Predicate struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		return fmt.Errorf("statement: %v", err)
	}
	if statement.PredicateType != publishPredicate {
		return fmt.Errorf("the statement is of another type, %q", records.Clip(statement.PredicateType))
	}
	if len(statement.Subject) != 1 {
		return fmt.Errorf("the statement is about %d files, not 1", len(statement.Subject))
	}
	subject := statement.Subject[0]
	if subject.Name != packageURL(t) || statement.Predicate.Name != t.Name || statement.Predicate.Version != string(t.Version) {
		return fmt.Errorf("is about %q", records.Clip(subject.Name))
	}
	if subject.Digest.SHA512 != hex.EncodeToString(t.SHA512[:]) {
		return errors.New("is about a tarball with another SHA-512")
	}
	return nil
}

// packageURL is the package URL of a release, whose scope has its @ escaped.
func packageURL(t Tarball) string {
	name := t.Name
	if scoped, ok := strings.CutPrefix(name, "@"); ok {
		name = "%40" + scoped
	}
	return "pkg:npm/" + name + "@" + strings.ReplaceAll(string(t.Version), "+", "%2B")
}
