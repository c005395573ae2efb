package npm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// The public registry's two keys, as its keys endpoint serves them.
const npmKeys = `{"keys": [
	{"expires": "2025-01-29T00:00:00.000Z", "keyid": "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA",
	 "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256",
	 "key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg=="},
	{"expires": null, "keyid": "SHA256:DhQ8wR5APBvFHLF/+Tc+AYvPOdTpcIDqOhxsBHRwC7U",
	 "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256",
	 "key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEY6Ya7W++7aUPzvMTrezH6Ycx3c+HOKYCcNGybJZSCJq/fd7Qa8uuAKtdIkUQtQiEKERhAmE5lMMJhP8OkDOa2g=="}]}`

// Signatures that the public registry made.
var lodash = []struct {
	version, integrity, keyid, sig string
}{
	{"4.17.21", "sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg==",
		"SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA",
		"MEUCIF3Yithbtmy1aEBNlfNWbLswAfPIyQUuNUGARD3Ex2t4AiEA6TlN2ZKJCUpS/Sf2Z6MduF1BNSvayHIpu5wAcICcKXw="},
	{"4.18.1", "sha512-dMInicTPVE8d1e5otfwmmjlxkZoUpiVLwyeTdUsi/Caj/gfzzblBcCE5sRHV/AsjuCmxWrte2TNGSYuCeCq+0Q==",
		"SHA256:DhQ8wR5APBvFHLF/+Tc+AYvPOdTpcIDqOhxsBHRwC7U",
		"MEUCIQDZo+W4JJ5T/9RkS8Wz1uN7Gw+CBvP16yGeT8H9lnb+sAIgKM5Nqj636zyRL2YOUuhbSK2e1DhK2VBaMXiVNIYMq1M="},
}

type signed struct {
	tarball    Tarball
	signatures []records.OriginSignature
}

func lodashRelease(t testing.TB, i int) signed {
	hash, err := ParseIntegrity(lodash[i].integrity)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(lodash[i].sig)
	if err != nil {
		t.Fatal(err)
	}
	return signed{
		Tarball{"lodash", records.Version(lodash[i].version), hash},
		[]records.OriginSignature{{KeyID: lodash[i].keyid, Signature: sig}},
	}
}

func realKeys(t testing.TB) []SigningKey {
	keys, err := ParseKeys([]byte(npmKeys))
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys
}

// TestRealSignatures verifies what the public registry signed (SPEC Q3).
func TestRealSignatures(t *testing.T) {
	keys := realKeys(t)
	for i := range lodash {
		r := lodashRelease(t, i)
		key, err := Verify(keys, r.tarball, r.signatures, time.Time{})
		if err != nil || key.ID != lodash[i].keyid {
			t.Errorf("%s: key %q, %v", lodash[i].version, key.ID, err)
		}
	}
}

// TestMutants changes one bit or one part of each real signature: none counts.
func TestMutants(t *testing.T) {
	keys := realKeys(t)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range lodash {
		for n := range 1000 {
			r := lodashRelease(t, i)
			sig := r.signatures[0].Signature
			var what string
			switch n % 6 {
			case 0:
				bit := random.IntN(8 * len(sig))
				sig[bit/8] ^= 1 << (bit % 8)
				what = fmt.Sprintf("bit %d of the signature", bit)
			case 1:
				bit := random.IntN(8 * len(r.tarball.SHA512))
				r.tarball.SHA512[bit/8] ^= 1 << (bit % 8)
				what = fmt.Sprintf("bit %d of the hash", bit)
			case 2:
				at := random.IntN(len(sig) + 1)
				r.signatures[0].Signature = append(append(sig[:at:at], byte(random.IntN(256))), sig[at:]...)
				what = fmt.Sprintf("a byte more at %d", at)
			case 3:
				at := random.IntN(len(sig))
				r.signatures[0].Signature = append(sig[:at:at], sig[at+1:]...)
				what = fmt.Sprintf("a byte less at %d", at)
			case 4:
				name := []byte(r.tarball.Name)
				name[random.IntN(len(name))] ^= byte(1 + random.IntN(127))
				r.tarball.Name = string(name)
				what = "name " + r.tarball.Name
			case 5:
				r.tarball.Version += records.Version(fmt.Sprint(random.IntN(1000)))
				what = "version " + string(r.tarball.Version)
			}
			if _, err := Verify(keys, r.tarball, r.signatures, time.Time{}); err == nil {
				t.Errorf("%s with %s counts", lodash[i].version, what)
			}
		}
	}
}

func problemOf(err error) SignatureProblem {
	var e *SignatureError
	if errors.As(err, &e) {
		return e.Problem
	}
	return 0
}

// TestVerifyProblems says why signatures do not count (SPEC Q4).
func TestVerifyProblems(t *testing.T) {
	keys := realKeys(t)
	old, current := lodashRelease(t, 0), lodashRelease(t, 1)
	expiry := keys[0].Expires
	wrong := []records.OriginSignature{{KeyID: lodash[0].keyid, Signature: current.signatures[0].Signature}}
	unknown := []records.OriginSignature{{KeyID: "SHA256:another", Signature: old.signatures[0].Signature}}
	for _, c := range []struct {
		name       string
		keys       []SigningKey
		signatures []records.OriginSignature
		published  time.Time
		want       SignatureProblem
	}{
		{"as signed", keys, old.signatures, time.Time{}, 0},
		{"published before the key expired", keys, old.signatures, expiry.Add(-time.Second), 0},
		{"published when the key expired", keys, old.signatures, expiry, KeyExpired},
		{"no signature", keys, nil, time.Time{}, NoSignature},
		{"another key's", keys, unknown, time.Time{}, UnknownKey},
		{"no key pinned", nil, old.signatures, time.Time{}, UnknownKey},
		{"over something else", keys, wrong, time.Time{}, WrongSignature},
		{"a wrong one first", keys, append(wrong, old.signatures...), time.Time{}, 0},
		{"a wrong one is told before an unknown one", keys, append(wrong, unknown...), time.Time{}, WrongSignature},
	} {
		_, err := Verify(c.keys, old.tarball, c.signatures, c.published)
		if problemOf(err) != c.want || (err == nil) != (c.want == 0) {
			t.Errorf("%s: %v, want problem %d", c.name, err, c.want)
		}
	}
}

// TestParseKeys refuses what is not the document of a registry (SPEC Q1 and Q2).
func TestParseKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key := func(fields string) string {
		return `{"keys": [{"keyid": "a", "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256", ` + fields + `}]}`
	}
	good := `"key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg=="`
	for _, c := range []struct{ name, text, want string }{
		{"good", key(good), ""},
		{"another scheme is passed over", strings.ReplaceAll(key(good), "ecdsa-sha2-nistp256", "ed25519"), ""},
		{"P-384", key(`"key": "` + base64.StdEncoding.EncodeToString(spki) + `"`), "P-256"},
		{"not base64", key(`"key": "?"`), "base64"},
		{"bad expiry", key(`"expires": "soon", ` + good), "expires"},
		{"empty keyid", strings.ReplaceAll(key(good), `"a"`, `""`), "keyid"},
		{"twice", strings.Replace(npmKeys, "DhQ8wR5APBvFHLF/+Tc+AYvPOdTpcIDqOhxsBHRwC7U", "jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA", 1), "twice"},
		{"a field twice", `{"keys": [], "keys": []}`, "keys"},
		{"not JSON", `<html>`, "read registry keys"},
		{"too long", strings.Repeat(" ", MaxKeysJSON) + "{}", "limit"},
	} {
		_, err := ParseKeys([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestParseIntegrity finds the one SHA-512 (SPEC Q5).
func TestParseIntegrity(t *testing.T) {
	good := lodash[0].integrity
	other := lodash[1].integrity
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{good, true},
		{"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= " + good, true},
		{good + "?option", true},
		{good + " " + good, true},
		{good + " " + other, false},
		{"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", false},
		{"", false},
		{"sha512-", false},
		{strings.TrimRight(good, "="), false},
		{good[:len(good)-3] + "h==", false}, // bits after the hash
	} {
		hash, err := ParseIntegrity(c.text)
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.text, err)
		}
		if c.ok && FormatIntegrity(hash) != good {
			t.Errorf("%q gives %s", c.text, FormatIntegrity(hash))
		}
	}
}

// A registry signs in tests.
type registry struct {
	key  *ecdsa.PrivateKey
	keys []SigningKey
}

func newRegistry(t *testing.T) registry {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := ParseSigningKey("SHA256:test", time.Time{}, spki)
	if err != nil {
		t.Fatal(err)
	}
	return registry{key, []SigningKey{signing}}
}

func (r registry) sign(t *testing.T, message []byte) []byte {
	digest := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, r.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (r registry) attest(t *testing.T, change func(statement map[string]any), payloadType string) Attestation {
	tarball := lodashRelease(t, 0).tarball
	statement := map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"subject":       []any{map[string]any{"name": "pkg:npm/lodash@4.17.21", "digest": map[string]any{"sha512": hex.EncodeToString(tarball.SHA512[:])}}},
		"predicateType": publishPredicate,
		"predicate":     map[string]any{"name": "lodash", "version": "4.17.21", "registry": "https://registry.example"},
	}
	change(statement)
	payload, err := json.Marshal(statement)
	if err != nil {
		t.Fatal(err)
	}
	sig := r.sign(t, preAuthEncoding(payloadType, payload))
	bundle, err := json.Marshal(map[string]any{"dsseEnvelope": map[string]any{
		"payload": payload, "payloadType": payloadType,
		"signatures": []any{map[string]any{"keyid": "SHA256:test", "sig": sig}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return Attestation{PredicateType: publishPredicate, Bundle: bundle}
}

// TestVerifyPublish takes the registry's own statement about this tarball alone
// (SPEC Q6 and Q7).
func TestVerifyPublish(t *testing.T) {
	r := newRegistry(t)
	tarball := lodashRelease(t, 0).tarball
	subject := func(s map[string]any) map[string]any { return s["subject"].([]any)[0].(map[string]any) }
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		want   string
	}{
		{"good", func(map[string]any) {}, ""},
		{"another package", func(s map[string]any) { subject(s)["name"] = "pkg:npm/lodash@4.17.20" }, "is about"},
		{"another name in the predicate", func(s map[string]any) { s["predicate"].(map[string]any)["name"] = "lodahs" }, "is about"},
		{"another hash", func(s map[string]any) { subject(s)["digest"] = map[string]any{"sha512": strings.Repeat("0", 128)} }, "SHA-512"},
		{"no subject", func(s map[string]any) { s["subject"] = []any{} }, "0 files"},
		{"two subjects", func(s map[string]any) { s["subject"] = append(s["subject"].([]any), subject(s)) }, "2 files"},
		{"provenance inside", func(s map[string]any) { s["predicateType"] = "https://slsa.dev/provenance/v1" }, "another type"},
	} {
		key, err := VerifyPublish(r.keys, tarball, r.attest(t, c.change, inTotoPayload))
		if c.want == "" && (err != nil || key.ID != "SHA256:test") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := VerifyPublish(r.keys, tarball, r.attest(t, func(map[string]any) {}, "text/plain")); err == nil {
		t.Error("another payload type counts")
	}
	stranger := newRegistry(t).attest(t, func(map[string]any) {}, inTotoPayload)
	if _, err := VerifyPublish(r.keys, tarball, stranger); err == nil {
		t.Error("another key's statement counts")
	}
	provenance := r.attest(t, func(map[string]any) {}, inTotoPayload)
	provenance.PredicateType = "https://slsa.dev/provenance/v1"
	if _, err := VerifyPublish(r.keys, tarball, provenance); err == nil {
		t.Error("provenance counts as the registry's word")
	}
}

// TestSecondFormOfASignature: whoever has a signature can make its twin with -s,
// which is as good; it says nothing else.
func TestSecondFormOfASignature(t *testing.T) {
	r := newRegistry(t)
	tarball := Tarball{Name: "@es/x", Version: "1.0.0"}
	sig := r.sign(t, []byte(tarball.message()))
	if got := tarball.message(); !strings.HasPrefix(got, "@es/x@1.0.0:sha512-AAAA") {
		t.Errorf("signs %q", got)
	}
	if _, err := Verify(r.keys, tarball, []records.OriginSignature{{KeyID: "SHA256:test", Signature: sig}}, time.Time{}); err != nil {
		t.Error(err)
	}
	zero := append([]byte{0x30, 0x06, 0x02, 0x01}, 0, 0x02, 0x01, 0)
	if _, err := Verify(r.keys, tarball, []records.OriginSignature{{KeyID: "SHA256:test", Signature: zero}}, time.Time{}); err == nil {
		t.Error("a signature of zeros counts")
	}
}
