package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

// registryKey is the nth key of a registry for tests.
func registryKey(n int) *ecdsa.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "registry key %d", n))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(err)
	}
	return key
}

func registrySPKI(n int) string {
	der, err := x509.MarshalPKIXPublicKey(registryKey(n).Public())
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// pinnedKey is the nth key as a line of a trust file has it.
func pinnedKey(n int) string { return fmt.Sprintf("key=SHA256:r%d,%s", n, registrySPKI(n)) }

const registryURL = "registry=https://registry.example/"

// signedBy is the nth key's signature over a message, the same whenever it is made.
func signedBy(n int, message string) registrySignature {
	digest := sha256.Sum256([]byte(message))
	sig, err := registryKey(n).Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return registrySignature{fmt.Sprintf("SHA256:r%d", n), sig}
}

func tarballHash(text string) [sha512.Size]byte { return sha512.Sum512([]byte(text)) }

func signedText(name, version, tarball string) string {
	return name + "@" + version + ":" + npm.FormatIntegrity(tarballHash(tarball))
}

// imports is what an author says of a tarball of left-pad@1.0.0, as so many keys of the
// registry signed it.
func imports(author int, module, tarball string, keys ...int) claim {
	hash := tarballHash(tarball)
	i := &imported{SHA512: hex.EncodeToString(hash[:]), Size: 100, Files: 2, Dependencies: map[string]string{"repeat": "1"}}
	for _, n := range keys {
		i.Signatures = append(i.Signatures, signedBy(n, signedText("left-pad", "1.0.0", tarball)))
	}
	c := says(author, module)
	c.Import = i
	return c
}

// change changes what the release of an import says.
func change(c claim, f func(*imported)) claim {
	i := *c.Import
	f(&i)
	c.Import = &i
	return c
}

// unpacks says that this home made the module of a tarball.
func (w *world) unpacks(tarball, module string, registries ...string) *world {
	hash := tarballHash(tarball)
	w.Unpacked = append(w.Unpacked, unpackedTarball{
		SHA512: hex.EncodeToString(hash[:]), Name: string(w.Name), Version: w.Version, Module: moduleCID(module).String(),
		Size: 100, Files: 2, Dependencies: map[string]string{"repeat": "1"}, Registries: registries,
	})
	return w
}

func authorityVectors() []vector {
	ok := func(file, spec, comment, text string) vector {
		return vector{file: file, expect: "ok", spec: spec, comment: comment, text: text}
	}
	bad := func(file, spec, comment, text string) vector {
		return vector{file: file, expect: "syntax-error", spec: spec, comment: comment, text: text}
	}
	line := "npm left-pad " + registryURL + " "
	return []vector{
		ok("npm-line", "T400 T401 T402", "a registry with two keys, one with an end, and one that does not sign",
			"npm left-pad @acme/* "+registryURL+" "+pinnedKey(1)+",2025-01-29T00:00:00Z "+pinnedKey(2)+" label=example until=2027-12-31  # met on the web\n"+
				"npm @corp/* registry=https://npm.corp.example/ unsigned=yes\n"),
		ok("npm-denied", "T402 T10", "a key of a registry is denied like any other", line+pinnedKey(1)+" "+pinnedKey(2)+"\ndeny "+registryPrint(1)+"\n"),
		bad("npm-no-scope", "T400", "a registry for no name", "npm "+registryURL+" "+pinnedKey(1)+"\n"),
		bad("npm-no-registry", "T400", "keys of nobody", "npm left-pad "+pinnedKey(1)+"\n"),
		bad("npm-registry-empty", "T400", "a registry without a name", "npm left-pad registry= "+pinnedKey(1)+"\n"),
		bad("npm-registry-quoted", "T400", "a registry in quotes", "npm left-pad registry=\"https://registry.example/\" "+pinnedKey(1)+"\n"),
		bad("npm-registry-twice", "T9", "two registries in one line", line+registryURL+" "+pinnedKey(1)+"\n"),
		bad("npm-no-key", "T400", "no key, and not said to be unsigned", line+"\n"),
		bad("npm-key-and-unsigned", "T400", "keys, and said to sign nothing", line+pinnedKey(1)+" unsigned=yes\n"),
		bad("npm-unsigned-no", "T400", "unsigned=no and no key", line+"unsigned=no\n"),
		bad("npm-depth", "T400", "a registry delegates to nobody", line+pinnedKey(1)+" depth=1\n"),
		bad("npm-key-twice", "T401", "one key twice", line+pinnedKey(1)+" "+pinnedKey(1)+"\n"),
		bad("npm-keyid-twice", "T401", "one keyid twice", line+pinnedKey(1)+" key=SHA256:r1,"+registrySPKI(2)+"\n"),
		bad("npm-key-two-ids", "T401", "one key by two keyids", line+pinnedKey(1)+" key=SHA256:r2,"+registrySPKI(1)+"\n"),
		bad("npm-key-bare", "T401", "a key without its keyid", line+"key="+registrySPKI(1)+"\n"),
		bad("npm-key-cut", "T401", "a key whose last bytes are missing", line+pinnedKey(1)[:100]+"\n"),
		bad("npm-key-end-zone", "T401", "an end in another time zone than UTC", line+pinnedKey(1)+",2025-01-29T01:00:00+01:00\n"),
		bad("npm-key-end-fraction", "T401", "an end with a fraction of a second", line+pinnedKey(1)+",2025-01-29T00:00:00.000Z\n"),
		ok("key-imports", "T403", "a key whose imports are believed", "key "+k1+" * imports=yes\nkey "+k2+" * imports=no\n"),
		bad("key-imports-bare", "T403", "imports takes yes or no", "key "+k1+" * imports=all\n"),
		{file: "project-npm", expect: "project-error", spec: "T407", comment: "a project's file names no registry", text: line + pinnedKey(1) + "\n"},
		{file: "project-imports", expect: "project-error", spec: "T407", comment: "nor whose imports are believed", text: "key " + k1 + " left-pad imports=yes\n"},
	}
}

func registryPrint(n int) string {
	der, err := base64.StdEncoding.DecodeString(registrySPKI(n))
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	f, err := records.FingerprintFromBytes(sum[:])
	if err != nil {
		panic(err)
	}
	return f.String()
}

func importVectors() []vector {
	line := "npm left-pad " + registryURL + " " + pinnedKey(1) + "\n"
	both := "npm left-pad " + registryURL + " " + pinnedKey(1) + " " + pinnedKey(2) + "\n"
	good := imports(5, "X", "tgz", 1)
	at := func(when time.Time) claim { return change(good, func(i *imported) { i.Published = when.Unix() }) }
	end := time.Date(2025, 1, 29, 0, 0, 0, 0, time.UTC)
	ended := "npm left-pad " + registryURL + " " + pinnedKey(1) + ",2025-01-29T00:00:00Z\n"
	signed := func(n int, message string) claim {
		return change(good, func(i *imported) { i.Signatures = []registrySignature{signedBy(n, message)} })
	}
	of := func(claims ...claim) *world { return about("left-pad", claims...).unpacks("tgz", "X") }
	v := func(file, expect, spec, comment, text string, w *world) vector {
		return vector{file: "import-" + file, expect: expect, spec: spec, comment: comment, text: text, world: w}
	}
	corp := "npm left-pad registry=https://npm.corp.example/ unsigned=yes\n"
	native := says(5, "X")
	native.Record = recordCID("5X by itself").String()
	elsewhere := change(good, func(i *imported) { i.Signatures = nil })
	return []vector{
		v("signed", "trusted", "T404 T405", "a stranger's import that the registry signed", line, of(good)),
		v("own", "untrusted", "T404", "an import by an own key, and nobody vouches for it", "", of(good).own(5)),
		v("own-signed", "trusted", "T404", "an own import that the registry signed", line, of(good).own(5)),
		v("listed", "untrusted", "T404", "an import by a key that decides about the name", "key "+testKey(5).String()+" left-pad\n", of(good)),
		v("listed-imports", "trusted", "T403 T404", "the same, and the line says imports=yes", "key "+testKey(5).String()+" left-pad imports=yes\n", of(good)),
		v("delegate-imports", "untrusted", "T403", "imports=yes is about the key of the line, and not about whom it delegates to",
			"key "+testKey(4).String()+" left-pad depth=1 imports=yes\n", of(good).delegates(4, 5, 0, "left-pad")),
		v("broader-imports", "untrusted", "T403 T15", "imports=yes in a broader scope than the one that decides",
			"key "+testKey(5).String()+" * imports=yes\nkey "+testKey(4).String()+" left-pad\n", of(good)),
		v("native", "trusted", "T404", "the same key releases the module itself", "key "+testKey(5).String()+" left-pad\n", of(good, native)),
		v("unpinned", "untrusted", "T404", "signed by a key that is not pinned", "npm left-pad "+registryURL+" "+pinnedKey(2)+"\n", of(good)),
		v("unsigned", "untrusted", "T404", "the registry's signature is missing", line, of(elsewhere)),
		v("name", "untrusted", "T404", "signed under another name", line, of(signed(1, signedText("left-pads", "1.0.0", "tgz")))),
		v("version", "untrusted", "T404", "signed as another version", line, of(signed(1, signedText("left-pad", "1.0.1", "tgz")))),
		v("integrity", "untrusted", "T404", "signed over another tarball", line, of(signed(1, signedText("left-pad", "1.0.0", "other")))),
		v("forged", "untrusted", "T404", "signed by another key under the keyid of the pinned one", line,
			of(change(good, func(i *imported) {
				i.Signatures = []registrySignature{{"SHA256:r1", signedBy(2, signedText("left-pad", "1.0.0", "tgz")).Sig}}
			}))),
		v("second-signature", "trusted", "T404 Q4", "the second of two signatures is by a pinned key", line, of(imports(5, "X", "tgz", 2, 1))),
		v("before-end", "trusted", "T404 Q4", "published a second before the key's end", ended, of(at(end.Add(-time.Second)))),
		v("at-end", "untrusted", "T404 Q4", "published at the key's end", ended, of(at(end))),
		v("no-time", "trusted", "T404 Q4", "by a key that has ended, and no time is claimed", ended, of(good)),
		v("unpacked-not", "untrusted", "T405", "the tarball was not unpacked here", line, about("left-pad", good)),
		v("tree", "untrusted", "T405", "another tree than the tarball holds", line, of(imports(5, "Y", "tgz", 1))),
		v("manifest", "untrusted", "T405", "another manifest than the tarball's", line, of(change(good, func(i *imported) { i.Dependencies = map[string]string{"repeat": "2"} }))),
		v("size", "untrusted", "T405", "another size than the tarball's", line, of(change(good, func(i *imported) { i.Size++ }))),
		v("files", "untrusted", "T405", "another number of files than the tarball's", line, of(change(good, func(i *imported) { i.Files++ }))),
		v("pins", "untrusted", "T405", "modules are pinned, which no registry has", line, of(change(good, func(i *imported) { i.Pins = map[string]string{"repeat": modY} }))),
		v("next", "trusted", "T405", "a lie about the tree, and an honest import beside it", line, of(imports(4, "Y", "tgz", 1), good)),
		v("record", "trusted", "T408", "of two importers' records the lower is used", line, of(good, imports(6, "X", "tgz", 1))),
		v("denied-importer", "denied", "T404 T18", "an import by a key that is denied", line+"deny "+testKey(5).String()+"\n", of(good)),
		v("denied-key", "untrusted", "T402 T18", "the key of the registry is denied", line+"deny "+registryPrint(1)+"\n", of(good)),
		v("void", "unknown", "T404 T23", "the importer's signature does not count", line, of(invalid(good, "revoked"))),
		v("over", "untrusted", "T400 T17", "the line is past its last day", line[:len(line)-1]+" until=2027-06-14\n", of(good)),
		v("narrower", "untrusted", "T400 T15", "a narrower line of a key decides alone", "npm * "+registryURL+" "+pinnedKey(1)+"\nkey "+k1+" left-pad\n", of(good)),
		v("scope", "untrusted", "T400 T15", "a public package does not answer for a private scope", "npm * "+registryURL+" "+pinnedKey(1)+"\n"+
			"npm left-pad registry=https://npm.corp.example/ "+pinnedKey(2)+"\n", of(good)),
		v("beside", "conflict", "T400 T21", "a registry and a key decide equally, and disagree", line+"key "+k1+" left-pad\n", of(good, says(1, "Y"))),
		v("two-tarballs", "equivocation", "T406 T22", "the registry signed two tarballs as one version", line,
			of(good, imports(6, "Y", "tgz2", 1)).unpacks("tgz2", "Y")),
		v("two-tarballs-unchecked", "trusted", "T405 T22", "of two that it signed one was not unpacked here", line, of(good, imports(6, "Y", "tgz2", 1))),
		v("voice", "untrusted", "T406 T34", "two keys of a registry are one voice", both+"threshold 2 left-pad\n", of(imports(5, "X", "tgz", 1, 2), imports(6, "X", "tgz", 2))),
		v("voice-lines", "untrusted", "T406 T34", "two lines of one registry are one voice",
			line+"npm left-pad "+registryURL+" "+pinnedKey(2)+"\nthreshold 2 left-pad\n", of(imports(5, "X", "tgz", 1, 2))),
		v("voice-key", "untrusted", "T406 T34", "two registries with a key in common are one voice",
			line+"npm left-pad registry=https://mirror.example/ "+pinnedKey(1)+" "+pinnedKey(2)+"\nthreshold 2 left-pad\n", of(imports(5, "X", "tgz", 1, 2))),
		v("two-voices", "trusted", "T406 T34", "two registries are two voices",
			line+"npm left-pad registry=https://other.example/ "+pinnedKey(2)+"\nthreshold 2 left-pad\n", of(imports(5, "X", "tgz", 1, 2))),
		v("author-voice", "trusted", "T406 T34", "a registry and an author are two voices", line+"key "+k1+" left-pad\nthreshold 2 left-pad\n", of(good, says(1, "X"))),
		v("pin", "trusted", "T24", "a pinned import needs no registry", "pin left-pad 1.0.0 "+modX+"\n", about("left-pad", elsewhere)),
		v("unsigned-taken", "trusted", "T400 T404", "this home took it from a registry that does not sign", corp,
			about("left-pad", elsewhere).unpacks("tgz", "X", "https://npm.corp.example/")),
		v("unsigned-other", "untrusted", "T404", "this home took it from another registry", corp, about("left-pad", elsewhere).unpacks("tgz", "X", "https://registry.example/")),
		v("unsigned-peer", "untrusted", "T404", "this home got the tarball from a peer", corp, about("left-pad", elsewhere).unpacks("tgz", "X")),
		v("unsigned-signed", "untrusted", "T404", "a signature by nobody's key does not help there", corp, of(good)),
	}
}
