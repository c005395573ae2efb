package records

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Fingerprint identifies an OpenPGP primary key: 20 bytes for a v4 key, 32 for
// a v6 key (RFC 9580 section 5.5.4). It is comparable; the zero value is no key.
type Fingerprint struct {
	raw string
}

// FingerprintFromBytes takes the 20 or 32 bytes of a fingerprint.
func FingerprintFromBytes(b []byte) (Fingerprint, error) {
	if len(b) != 20 && len(b) != 32 {
		return Fingerprint{}, fmt.Errorf("fingerprint has %d bytes, it must have 20 (v4) or 32 (v6)", len(b))
	}
	return Fingerprint{string(b)}, nil
}

// ParseFingerprint reads hexadecimal digits of either case. Spaces and colons,
// as gpg and people write them, are passed over, and so is a leading "0x".
func ParseFingerprint(s string) (Fingerprint, error) {
	digits := strings.NewReplacer(" ", "", ":", "").Replace(s)
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, "0x"), "0X")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return Fingerprint{}, fmt.Errorf("fingerprint %q: not hexadecimal", Clip(s))
	}
	if len(b) != 20 && len(b) != 32 {
		return Fingerprint{}, fmt.Errorf("fingerprint %q: has %d digits, it must have 40 or 64", Clip(s), len(digits))
	}
	return Fingerprint{string(b)}, nil
}

// Bytes returns the 20 or 32 bytes.
func (f Fingerprint) Bytes() []byte { return []byte(f.raw) }

// Compare orders fingerprints by their bytes.
func (f Fingerprint) Compare(g Fingerprint) int { return strings.Compare(f.raw, g.raw) }

// IsZero reports whether f is no fingerprint at all.
func (f Fingerprint) IsZero() bool { return f.raw == "" }

// Version returns the OpenPGP key version, 4 or 6.
func (f Fingerprint) Version() int {
	if len(f.raw) == 32 {
		return 6
	}
	return 4
}

// String returns the whole fingerprint in upper-case hexadecimal.
func (f Fingerprint) String() string { return strings.ToUpper(hex.EncodeToString([]byte(f.raw))) }

// MarshalText encodes f as String does.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText decodes what ParseFingerprint takes.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	g, err := ParseFingerprint(string(b))
	if err != nil {
		return err
	}
	*f = g
	return nil
}
