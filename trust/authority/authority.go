// Package authority holds whom a user lets say which tarballs are the releases of a name:
// registries of npm, by their pinned keys or, where they sign nothing, by having served
// the tarball to this home (SPEC.md [T400] to [T408]).
package authority

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/internal/word"
)

// MaxRegistry is how many bytes the registry of an "npm" line may have.
const MaxRegistry = 256

// An Authority is an "npm" line: a registry may say which tarballs are the releases of
// the names in the scopes, by its signatures over them or, where it has no keys, by
// having served them to this home (SPEC.md [T400] to [T403]).
type Authority struct {
	Registry string // as the line has it
	Scopes   []records.Scope
	Keys     []npm.SigningKey
	Unsigned bool // the registry signs nothing; then there are no Keys
	Label    string
	Until    time.Time // as that of an Entry
	Line     int       // 1 is the first; ignored by AddAuthority
}

// Expired reports whether the authority's last day is over at now.
func (a *Authority) Expired(now time.Time) bool { return word.IsOver(a.Until, now) }

// Fingerprints are those of the authority's keys, in the order of the line; of a registry
// that does not sign the one that stands for it.
func (a *Authority) Fingerprints() []records.Fingerprint {
	if a.Unsigned {
		return []records.Fingerprint{UnsignedFingerprint(a.Registry)}
	}
	var all []records.Fingerprint
	for i := range a.Keys {
		all = append(all, KeyFingerprint(&a.Keys[i]))
	}
	return all
}

// KeyFingerprint is what a registry's key is called where authors' keys are: the
// SHA-256 of its SubjectPublicKeyInfo (SPEC.md [T402]).
func KeyFingerprint(key *npm.SigningKey) records.Fingerprint { return fingerprintOf(key.SPKI) }

// UnsignedFingerprint is what stands for a registry that does not sign.
func UnsignedFingerprint(registry string) records.Fingerprint {
	return fingerprintOf([]byte("es unsigned registry " + registry))
}

func fingerprintOf(b []byte) records.Fingerprint {
	sum := sha256.Sum256(b)
	f, err := records.FingerprintFromBytes(sum[:])
	if err != nil {
		panic("authority: a hash of 32 bytes is no fingerprint: " + err.Error())
	}
	return f
}

// Parse reads the words of an "npm" line that follow the first.
func Parse(args []word.Token) (Authority, error) {
	var a Authority
	seen := map[string]bool{}
	for _, t := range args {
		option, value, isOption := strings.Cut(t.Text, "=")
		if !isOption {
			s, err := word.ParseScope(t.Text)
			if err != nil {
				return a, err
			}
			a.Scopes = append(a.Scopes, s)
			continue
		}
		if seen[option] && option != "key" {
			return a, fmt.Errorf("%.40q stands twice; keep one", option)
		}
		seen[option] = true
		if err := a.setOption(option, value); err != nil {
			return a, err
		}
	}
	switch {
	case len(a.Scopes) == 0:
		return a, errors.New("names no scope, so the registry may speak for nothing")
	case a.Registry == "":
		return a, errors.New("names no registry")
	case len(a.Keys) == 0 && !a.Unsigned:
		return a, errors.New("pins no key, and does not say unsigned=yes")
	case len(a.Keys) > 0 && a.Unsigned:
		return a, errors.New("pins keys and says unsigned=yes; keep one of the two")
	}
	return a, nil
}

func (a *Authority) setOption(option, value string) (err error) {
	switch option {
	case "registry":
		a.Registry, err = value, checkRegistry(value)
	case "key":
		var key npm.SigningKey
		if key, err = parseSigningKey(value); err != nil {
			return err
		}
		if slices.ContainsFunc(a.Keys, func(k npm.SigningKey) bool { return k.ID == key.ID || string(k.SPKI) == string(key.SPKI) }) {
			return fmt.Errorf("the key %.80q stands twice; keep one", key.ID)
		}
		a.Keys = append(a.Keys, key)
	case "unsigned":
		a.Unsigned, err = word.ParseYesNo(option, value)
	case "label":
		a.Label, err = word.ParseLabel(value)
	case "until":
		a.Until, err = word.ParseDate(value)
	default:
		err = fmt.Errorf("%.40q is not an option this version of es knows", option)
	}
	return err
}

// checkRegistry takes any word: it is compared, and never asked.
func checkRegistry(s string) error {
	if s == "" || len(s) > MaxRegistry || !isWord(s) {
		return fmt.Errorf("registry=%.80q is not 1 to %d printable characters of ASCII without quotes and backslashes", s, MaxRegistry)
	}
	return nil
}

// isWord reports whether s is made of visible ASCII that a line needs no quotes for.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// parseSigningKey reads KEYID,KEY or KEYID,KEY,EXPIRES.
func parseSigningKey(s string) (npm.SigningKey, error) {
	parts := strings.Split(s, ",")
	if len(parts) < 2 || len(parts) > 3 {
		return npm.SigningKey{}, fmt.Errorf("key=%.80q is not KEYID,KEY or KEYID,KEY,EXPIRES", s)
	}
	var expires time.Time
	if len(parts) == 3 {
		var err error
		if expires, err = time.Parse(time.RFC3339, parts[2]); err != nil || expires.UTC().Format(time.RFC3339) != parts[2] {
			return npm.SigningKey{}, fmt.Errorf("key %.80q: its end is %.40q; write it as 2025-01-29T00:00:00Z", parts[0], parts[2])
		}
	}
	der, err := base64.StdEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return npm.SigningKey{}, fmt.Errorf("key %.80q: %.40q is not base64", parts[0], parts[1])
	}
	if !isWord(parts[0]) {
		return npm.SigningKey{}, fmt.Errorf("key=%.80q: a keyid has printable characters of ASCII without quotes and backslashes", s)
	}
	return npm.ParseSigningKey(parts[0], expires, der)
}

// Format writes what Parse reads, with the first word.
func (a *Authority) Format() (string, error) {
	var b strings.Builder
	b.WriteString("npm")
	for i, s := range a.Scopes {
		if !slices.Contains(a.Scopes[:i], s) {
			b.WriteString(" " + string(s))
		}
	}
	b.WriteString(" registry=" + a.Registry)
	for _, k := range a.Keys {
		if strings.Contains(k.ID, ",") || !isWord(k.ID) {
			return "", fmt.Errorf("the registry calls a key %q, which no line of a trust file can hold", k.ID)
		}
		b.WriteString(" key=" + k.ID + "," + base64.StdEncoding.EncodeToString(k.SPKI))
		if !k.Expires.IsZero() {
			b.WriteString("," + k.Expires.UTC().Format(time.RFC3339))
		}
	}
	if a.Unsigned {
		b.WriteString(" unsigned=yes")
	}
	if a.Label != "" {
		b.WriteString(" label=" + word.FormatLabel(a.Label))
	}
	if !a.Until.IsZero() {
		b.WriteString(" until=" + a.Until.UTC().Format(time.DateOnly))
	}
	return b.String(), nil
}

// SameGrant reports whether two lines differ in their scopes at most.
func (a *Authority) SameGrant(b *Authority) bool {
	return a.Registry == b.Registry && a.Unsigned == b.Unsigned && a.Until.Equal(b.Until) && (a.Label == b.Label || a.Label == "") &&
		slices.EqualFunc(a.Keys, b.Keys, func(k, l npm.SigningKey) bool {
			return k.ID == l.ID && string(k.SPKI) == string(l.SPKI) && k.Expires.Equal(l.Expires)
		})
}

// Voices numbers the lines from 1: those that have a key or the registry in
// common, with each other or by way of others, have one number.
func Voices(all []Authority) []int {
	voices := make([]int, len(all))
	for i := range all {
		voices[i] = i + 1
		for j := range all[:i] {
			if from := voices[j]; from != voices[i] && all[i].oneVoice(&all[j]) {
				for k := range voices[:i+1] {
					if voices[k] == from {
						voices[k] = voices[i]
					}
				}
			}
		}
	}
	return voices
}

func (a *Authority) oneVoice(b *Authority) bool {
	return a.Registry == b.Registry || slices.ContainsFunc(a.Fingerprints(), func(f records.Fingerprint) bool {
		return slices.Contains(b.Fingerprints(), f)
	})
}
