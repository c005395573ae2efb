package npm

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

var update = flag.Bool("update", false, "write the vectors anew, with keys of their own")

const vectorDir = "../testdata/npm"

// TestVectors does what the sections of the vectors ask for.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := vectors.Parse(strings.TrimSuffix(filepath.Base(file), ".txtar"), b)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := runVector(t, v); (err == nil) != (v.Expect == "ok") {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Expect)
		}
	}
}

// padded is a section with so many spaces before it as the section spaces says.
func padded(v *vectors.Vector, name string) []byte {
	n, _ := strconv.Atoi(strings.TrimSpace(v.File("spaces")))
	return []byte(strings.Repeat(" ", n) + strings.TrimSuffix(v.File(name), "\n"))
}

// A release is that of the section release.json.
type release struct {
	Name, Integrity string
	Version         records.Version
	Published       time.Time
}

func runVector(t *testing.T, v *vectors.Vector) error {
	if v.Has("integrity") {
		hash, err := ParseIntegrity(strings.TrimSuffix(v.File("integrity"), "\n"))
		if got := hex.EncodeToString(hash[:]); err == nil && got != strings.TrimSpace(v.File("sha512.hex")) {
			t.Errorf("%s: the hash is %s", v.Name, got)
		}
		return err
	}
	if !v.Has("release.json") {
		keys, err := ParseKeys(padded(v, "keys.json"))
		var got strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&got, "%s %x\n", k.ID, k.SPKI)
		}
		if err == nil && got.String() != v.File("keys") {
			t.Errorf("%s: the keys are\n%s", v.Name, got.String())
		}
		return err
	}
	keys, err := ParseKeys([]byte(v.File("keys.json")))
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	var r release
	if err := json.Unmarshal([]byte(v.File("release.json")), &r); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	hash, err := ParseIntegrity(r.Integrity)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	tarball := Tarball{r.Name, r.Version, hash}
	if v.Has("attestations.json") {
		list, err := ParseAttestations(padded(v, "attestations.json"))
		if err != nil || len(list) == 0 {
			return fmt.Errorf("%d attestations: %v", len(list), err)
		}
		_, err = VerifyPublish(keys, tarball, list[0])
		return err
	}
	var signatures []struct{ KeyID, Sig string }
	if err := json.Unmarshal([]byte(v.File("signatures.json")), &signatures); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	var origin []records.OriginSignature
	for _, s := range signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		origin = append(origin, records.OriginSignature{KeyID: s.KeyID, Signature: sig})
	}
	_, err = Verify(keys, tarball, origin, r.Published)
	return err
}

// vector writes one; sections are names and contents in turn.
func writeVector(t *testing.T, name, expect, spec, comment string, sections ...string) {
	v := &vectors.Vector{Name: name, Expect: expect, Spec: spec, Comment: comment}
	for i := 0; i < len(sections); i += 2 {
		v.Set(sections[i], strings.TrimSuffix(sections[i+1], "\n")+"\n")
	}
	if err := os.WriteFile(filepath.Join(vectorDir, name+".txtar"), v.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeVectors(t *testing.T) {
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeIntegrities(t)
	writeKeys(t)
	writeSignatures(t)
	writeAttestations(t)
}

func writeIntegrities(t *testing.T) {
	hash := strings.Repeat("ab", 64)
	raw, _ := hex.DecodeString(hash)
	good, other := "sha512-"+base64.StdEncoding.EncodeToString(raw), "sha512-"+base64.StdEncoding.EncodeToString(make([]byte, 64))
	sha1 := "sha1-" + base64.StdEncoding.EncodeToString(raw[:20])
	add := func(name, expect, comment, text string) {
		sections := []string{"integrity", text}
		if expect == "ok" {
			sections = append(sections, "sha512.hex", hash)
		}
		writeVector(t, "integrity-"+name, expect, "Q5", comment, sections...)
	}
	add("among", "ok", "among hashes of other algorithms, with options", sha1+" "+good+"?opt=1 sha384-x")
	add("twice", "ok", "the same hash twice", good+" "+good)
	add("differ", "refused", "two that differ", good+" "+other)
	add("sha1", "refused", "a SHA-1 alone", sha1)
	add("none", "refused", "nothing", "")
	add("short", "refused", "63 bytes", "sha512-"+base64.StdEncoding.EncodeToString(raw[:63]))
	add("bits", "refused", "bits behind the last byte that are not zero", good[:len(good)-3]+"x==")
	add("digits", "refused", "digits that base64 does not have", "sha512-"+strings.Repeat("*", 88))
}

// keyJSON is what a registry says of a key.
func keyJSON(id string, expires any, public any, t *testing.T) map[string]any {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"keyid": id, "expires": expires, "keytype": keyType, "scheme": keyScheme, "key": spki}
}

func asJSON(t *testing.T, v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeKeys(t *testing.T) {
	p256 := &newKey(t, elliptic.P256()).PublicKey
	key := func(id string) map[string]any { return keyJSON(id, nil, p256, t) }
	changed := func(field string, value any) map[string]any {
		k := key("a")
		k[field] = value
		return k
	}
	many := func(n int) (all []any) {
		for i := range n {
			all = append(all, map[string]any{"keyid": fmt.Sprint(i), "keytype": "other", "scheme": "other", "key": ""})
		}
		return all
	}
	add := func(name, expect, spec, comment string, keys ...any) []string {
		text := asJSON(t, map[string]any{"keys": keys})
		sections := []string{"keys.json", text}
		if expect == "ok" {
			got, err := ParseKeys([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var lines string
			for _, k := range got {
				lines += fmt.Sprintf("%s %x\n", k.ID, k.SPKI)
			}
			if lines != "" {
				sections = append(sections, "keys", lines)
			}
		}
		writeVector(t, "keys-"+name, expect, spec, comment, sections...)
		return sections
	}
	add("ok", "ok", "Q1 Q2", "a key with an end, one without, and one of another type, which is passed over",
		keyJSON("a", "2025-01-29T00:00:00.000Z", p256, t), key("b"), map[string]any{"keyid": "b", "keytype": "ed25519", "scheme": "ed25519", "key": "?"})
	add("scheme", "ok", "Q1", "a key of another scheme, which is passed over", key("b"), changed("scheme", "rsa"))
	add("most", "ok", "Q1", "64 keys", many(64)...)
	add("more", "refused", "Q1", "65 keys, none of them of a type that is known", many(65)...)
	add("twice", "refused", "Q1", "one keyid twice", key("a"), key("a"))
	add("id-none", "refused", "Q1", "an empty keyid", key(""))
	add("id-long", "refused", "Q1", "a keyid of 257 bytes", key(strings.Repeat("k", 257)))
	add("expires", "refused", "Q1", "an end that is no time", changed("expires", "tomorrow"))
	add("base64", "refused", "Q2", "a key that is not in base64", changed("key", "*"))
	add("bits", "refused", "Q2", "base64 with bits behind the last byte that are not zero", changed("key", func() string {
		spki, _ := x509.MarshalPKIXPublicKey(p256)
		s := base64.StdEncoding.EncodeToString(spki)
		return s[:len(s)-3] + "B=="
	}()))
	add("der", "refused", "Q2", "a key that is no DER", changed("key", []byte("no key")))
	add("p384", "refused", "Q2", "a key on P-384", keyJSON("a", nil, &newKey(t, elliptic.P384()).PublicKey, t))
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	add("ed25519", "refused", "Q2", "a key of Ed25519", keyJSON("a", nil, ed, t))
	text := asJSON(t, map[string]any{"keys": []any{}})
	writeVector(t, "keys-cut", "refused", "Q1", "a document that does not end", "keys.json", text[:len(text)-1])
	writeVector(t, "keys-large", "refused", "Q1", "65,537 bytes, most of them spaces", "keys.json", text, "spaces", fmt.Sprint(MaxKeysJSON+1-len(text)))
}

// vectorRelease is the release of all that is signed in vectors.
func vectorRelease() (Tarball, map[string]any) {
	tarball := Tarball{Name: "@s/p", Version: "1.0.0"}
	copy(tarball.SHA512[:], "the SHA-512 of a tarball")
	return tarball, map[string]any{"name": "@s/p", "version": "1.0.0", "integrity": FormatIntegrity(tarball.SHA512)}
}

func writeSignatures(t *testing.T) {
	r, old, stranger := newRegistry(t), newRegistry(t), newRegistry(t)
	const end = "2025-01-29T00:00:00.000Z"
	keys := asJSON(t, map[string]any{"keys": []any{keyJSON("b", nil, &r.key.PublicKey, t), keyJSON("a", end, &old.key.PublicKey, t)}})
	tarball, said := vectorRelease()
	sig := func(id string, by registry, text string) map[string]any {
		return map[string]any{"keyid": id, "sig": by.sign(t, []byte(text))}
	}
	add := func(name, expect, spec, comment, published string, signatures ...any) {
		if said["published"] = published; published == "" {
			delete(said, "published")
		}
		if signatures == nil {
			signatures = []any{}
		}
		writeVector(t, "signature-"+name, expect, spec, comment, "keys.json", keys, "release.json", asJSON(t, said), "signatures.json", asJSON(t, signatures))
	}
	good := tarball.message()
	longer := sig("b", r, good)
	longer["sig"] = append(longer["sig"].([]byte), 0)
	other := strings.Replace(good, "@1.0.0:", "@1.0.1:", 1)
	add("ok", "ok", "Q3 Q4", "one by a key that is not pinned, one that is wrong, and one that counts", "", sig("c", stranger, good), sig("a", old, other), sig("b", r, good))
	add("none", "refused", "Q4", "no signature", "")
	add("unknown", "refused", "Q4", "by a key that is not pinned", "", sig("c", r, good))
	add("stranger", "refused", "Q3", "by another key than its keyid says", "", sig("b", stranger, good))
	add("version", "refused", "Q3", "over another version", "", sig("b", r, other))
	add("integrity", "refused", "Q3", "over another tarball", "", sig("b", r, strings.Replace(good, "sha512-", "sha512-AAAA", 1)))
	add("longer", "refused", "Q3", "with a byte behind the DER", "", longer)
	add("before-end", "ok", "Q4", "published a second before the key ended", "2025-01-28T23:59:59Z", sig("a", old, good))
	add("at-end", "refused", "Q4", "published when the key ended", "2025-01-29T00:00:00Z", sig("a", old, good))
	add("no-time", "ok", "Q4", "a key that ended, and a release that claims no time", "", sig("a", old, good))
}

func writeAttestations(t *testing.T) {
	r, stranger := newRegistry(t), newRegistry(t)
	keys := asJSON(t, map[string]any{"keys": []any{keyJSON("SHA256:test", nil, &r.key.PublicKey, t)}})
	tarball, said := vectorRelease()
	subject := func(s map[string]any) map[string]any { return s["subject"].([]any)[0].(map[string]any) }
	predicate := func(s map[string]any) map[string]any { return s["predicate"].(map[string]any) }
	// document is an attestation of tarball, before it is changed.
	document := func(by registry, payloadType string, statement func(map[string]any)) map[string]any {
		s := map[string]any{
			"_type": "https://in-toto.io/Statement/v0.1", "predicateType": publishPredicate,
			"subject":   []any{map[string]any{"name": packageURL(tarball), "digest": map[string]any{"sha512": hex.EncodeToString(tarball.SHA512[:])}}},
			"predicate": map[string]any{"name": tarball.Name, "version": string(tarball.Version), "registry": "https://registry.example"},
		}
		statement(s)
		payload, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if s["payload"] != nil {
			payload = []byte("no JSON")
		}
		return map[string]any{"payload": payload, "payloadType": payloadType, "signatures": []any{
			map[string]any{"keyid": "SHA256:test", "sig": by.sign(t, preAuthEncoding(payloadType, payload))}}}
	}
	write := func(name, expect, spec, comment, predicateType string, bundle any, more ...string) {
		text := asJSON(t, map[string]any{"attestations": []any{map[string]any{"predicateType": predicateType, "bundle": bundle}}})
		if len(more) > 0 {
			more[1] = fmt.Sprint(MaxAttestations + 1 - len(text))
		}
		writeVector(t, "attestation-"+name, expect, spec, comment, append([]string{"keys.json", keys, "release.json", asJSON(t, said), "attestations.json", text}, more...)...)
	}
	add := func(name, expect, comment string, statement func(map[string]any)) {
		write(name, expect, "Q7", comment, publishPredicate, map[string]any{"dsseEnvelope": document(r, inTotoPayload, statement)})
	}
	same := func(map[string]any) {}
	add("ok", "ok", "the registry's word about this tarball", same)
	add("subject", "refused", "about another package", func(s map[string]any) { subject(s)["name"] = "pkg:npm/%40s/q@1.0.0" })
	add("subject-plain", "refused", "a package URL whose @ is not escaped", func(s map[string]any) { subject(s)["name"] = "pkg:npm/@s/p@1.0.0" })
	add("name", "refused", "another name in the predicate", func(s map[string]any) { predicate(s)["name"] = "@s/q" })
	add("version", "refused", "another version in the predicate", func(s map[string]any) { predicate(s)["version"] = "1.0.1" })
	add("hash", "refused", "about another tarball", func(s map[string]any) { subject(s)["digest"] = map[string]any{"sha512": strings.Repeat("0", 128)} })
	add("no-subject", "refused", "about nothing", func(s map[string]any) { s["subject"] = []any{} })
	add("two-subjects", "refused", "about two files", func(s map[string]any) { s["subject"] = append(s["subject"].([]any), subject(s)) })
	add("provenance-within", "refused", "of another type within", func(s map[string]any) { s["predicateType"] = "https://slsa.dev/provenance/v1" })
	add("no-json", "refused", "a statement that is no JSON", func(s map[string]any) { s["payload"] = true })
	write("provenance", "refused", "Q7", "of another type outside", "https://slsa.dev/provenance/v1", map[string]any{"dsseEnvelope": document(r, inTotoPayload, same)})
	write("payload-type", "refused", "Q7", "a payload of another type", publishPredicate, map[string]any{"dsseEnvelope": document(r, "text/plain", same)})
	write("stranger", "refused", "Q7", "by another key than its keyid says", publishPredicate, map[string]any{"dsseEnvelope": document(stranger, inTotoPayload, same)})
	write("bundle", "refused", "Q7", "a bundle that is a text", publishPredicate, "bundle")
	unsigned, base := document(r, inTotoPayload, same), document(r, inTotoPayload, same)
	unsigned["signatures"] = []any{}
	write("unsigned", "refused", "Q7", "without a signature", publishPredicate, map[string]any{"dsseEnvelope": unsigned})
	base["payload"] = base64.StdEncoding.EncodeToString(base["payload"].([]byte)) + "*"
	write("payload-base64", "refused", "Q7", "a payload with a digit that base64 does not have", publishPredicate, map[string]any{"dsseEnvelope": base})
	write("large", "refused", "Q6", "1,048,577 bytes, most of them spaces", publishPredicate, map[string]any{"dsseEnvelope": document(r, inTotoPayload, same)}, "spaces", "")
	writeVector(t, "attestation-cut", "refused", "Q6", "a document that does not end", "keys.json", keys, "release.json", asJSON(t, said), "attestations.json", `{"attestations": [`)
}
