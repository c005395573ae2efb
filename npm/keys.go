package npm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Limits of what a registry says of its keys (SPEC.md, [Q1]).
const (
	MaxKeys     = 64
	MaxKeyID    = 256      // bytes of a keyid
	MaxKeysJSON = 64 << 10 // bytes of the document
)

const (
	keyType   = "ecdsa-sha2-nistp256"
	keyScheme = "ecdsa-sha2-nistp256"
)

// A SigningKey is a registry's key for signatures over releases.
type SigningKey struct {
	ID      string    // as the registry calls it; opaque
	Expires time.Time // zero: never
	SPKI    []byte    // the DER of its SubjectPublicKeyInfo

	public *ecdsa.PublicKey
}

// ParseSigningKey reads a P-256 key from its SubjectPublicKeyInfo in DER
// (SPEC.md, [Q2]).
func ParseSigningKey(id string, expires time.Time, spki []byte) (SigningKey, error) {
	if id == "" || len(id) > MaxKeyID {
		return SigningKey{}, fmt.Errorf("registry key: the keyid has %d bytes, not 1 to %d", len(id), MaxKeyID)
	}
	any, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return SigningKey{}, fmt.Errorf("registry key %q: %v", id, err)
	}
	public, ok := any.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return SigningKey{}, fmt.Errorf("registry key %q: not an ECDSA key on P-256", id)
	}
	return SigningKey{ID: id, Expires: expires, SPKI: spki, public: public}, nil
}

// ParseKeys reads the answer of a registry's keys endpoint, at most MaxKeysJSON
// bytes. Keys of another type or scheme are passed over, since a registry may
// introduce one; a key of this type that cannot be read is an error, and so is a
// keyid that stands twice.
func ParseKeys(b []byte) ([]SigningKey, error) {
	if len(b) > MaxKeysJSON {
		return nil, fmt.Errorf("read registry keys: %d bytes, the limit is %d", len(b), MaxKeysJSON)
	}
	var doc struct {
		Keys []struct {
			Expires *string `json:"expires"`
			KeyID   string  `json:"keyid"`
			KeyType string  `json:"keytype"`
			Scheme  string  `json:"scheme"`
			Key     string  `json:"key"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("read registry keys: %v", err)
	}
	if len(doc.Keys) > MaxKeys {
		return nil, fmt.Errorf("read registry keys: %d keys, the limit is %d", len(doc.Keys), MaxKeys)
	}
	var keys []SigningKey
	seen := make(map[string]bool)
	for _, k := range doc.Keys {
		if k.KeyType != keyType || k.Scheme != keyScheme {
			continue
		}
		if seen[k.KeyID] {
			return nil, fmt.Errorf("read registry keys: keyid %q stands twice", k.KeyID)
		}
		seen[k.KeyID] = true
		var expires time.Time
		if k.Expires != nil {
			var err error
			if expires, err = time.Parse(time.RFC3339, *k.Expires); err != nil {
				return nil, fmt.Errorf("read registry key %q: expires: %v", k.KeyID, err)
			}
		}
		spki, err := base64.StdEncoding.Strict().DecodeString(k.Key)
		if err != nil {
			return nil, fmt.Errorf("read registry key %q: %v", k.KeyID, err)
		}
		key, err := ParseSigningKey(k.KeyID, expires, spki)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
