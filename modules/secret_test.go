package modules

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf16"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
)

// secretFiles are private keys and tokens as they lie about, by file name.
func secretFiles(t testing.TB) map[string][]byte {
	t.Helper()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edKey)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	must(t, err)
	block := func(kind string, b []byte, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b, Headers: headers})
	}
	plain := block("PRIVATE KEY", pkcs8, nil)
	sealed := make([]byte, 1200)
	rand.Read(sealed)
	entity, err := openpgp.NewEntity("T", "", "t@example.org", nil)
	must(t, err)
	var binary, armored bytes.Buffer
	must(t, entity.SerializePrivate(&binary, nil))
	w, err := armor.Encode(&armored, openpgp.PrivateKeyType, map[string]string{"Comment": "a key"})
	must(t, err)
	_, err = w.Write(binary.Bytes())
	must(t, err)
	must(t, w.Close())
	escaped := strings.ReplaceAll(string(plain), "\n", `\n`)
	var joined strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(string(plain)), "\n") {
		joined.WriteString("  '" + line + "\\n' +\n")
	}
	wide := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(string(plain))) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	sealedDER, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}, sealed[:100]})
	must(t, err)
	// The head of a store of PKCS #12, and the type of a bag with a sealed key in it.
	store := append([]byte{0x30, 0x82, 0x02, 0, 0x02, 0x01, 0x03, 0x30, 0x82, 0x01, 0xc4}, sealed[:100]...)
	store = append(append(store, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02), sealed[:400]...)
	jwk := `{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURo0", "d": "` + base64.RawURLEncoding.EncodeToString(edKey.Seed()) + `"}]}`
	return map[string][]byte{
		"sealed.der":    sealedDER,
		"store.p12":     store,
		"store.jks":     append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1}, sealed[:200]...),
		"jwks.json":     []byte(jwk),
		"minisign.key":  []byte("untrusted comment: minisign encrypted secret key\nRWRTY0Iy" + base64.StdEncoding.EncodeToString(sealed[:150]) + "\n"),
		"unmarked.txt":  wide[2:],
		"pkcs8.pem":     plain,
		"rsa.pem":       block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil),
		"ec.txt":        append([]byte("some words before\n"), block("EC PRIVATE KEY", sec1, nil)...),
		"encrypted.pem": block("RSA PRIVATE KEY", append([]byte{7}, sealed...), map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,0011"}),
		"id_ed25519":    block("OPENSSH PRIVATE KEY", append([]byte("openssh-key-v1\x00"), sealed[:200]...), nil),
		"crlf.key":      bytes.ReplaceAll(plain, []byte("\n"), []byte("\r\n")),
		"indented.yml":  []byte("key: |\n    " + strings.ReplaceAll(string(plain), "\n", "\n    ")),
		"account.json":  []byte(`{"private_key": "` + escaped + `"}`),
		"one-line":      []byte("KEY=" + strings.ReplaceAll(string(plain), "\n", " ")),
		"source.js":     []byte("exports.key =\n" + joined.String() + "  ''\n"),
		"wide.txt":      wide,
		"far.bin":       append(bytes.Repeat([]byte("far in\n"), 500_000), plain...),
		"edge.bin":      append(bytes.Repeat([]byte("x"), 2*secretWindow-10), plain...),
		"secret.gpg":    binary.Bytes(),
		"secret.asc":    armored.Bytes(),
		"pkcs8.der":     pkcs8,
		"ec.der":        sec1,
		"age.txt":       []byte("# created: 2026\nAGE-SECRET-KEY-1" + strings.Repeat("QPZRY9X8GF", 6)[:58] + "\n"),
		"putty.ppk":     []byte("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAA\n"),
		"swarm.txt":     []byte("/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("00", 32) + "\n"),
		"peer":          append([]byte{8, 1, 0x12, 64}, edKey...),
		".npmrc":        []byte("registry=https://r.example/\n//r.example/:_authToken=npm_abc\n"),
		"ci/npmrc":      []byte("_password = \"c2VjcmV0\"\r\n"),
		"old.npmrc.bak": []byte("  //r.example/:_auth=YTpi\n"),
		".yarnrc.yml":   []byte("npmRegistries:\n  //r.example:\n    npmAuthToken: \"abc\"\n"),
		"a/.yarnrc.yml": []byte("npmScopes: {acme: {npmRegistryServer: \"https://r.example\", npmAuthToken: abc}}\n"),
		"bunfig.toml":   []byte("[install]\nregistry = { url = \"https://r.example\", token = \"abc\" }\n"),
		"b/bunfig.toml": []byte("[install.scopes]\nacme = \"https://ada:abc@r.example/\"\r\n"),
		"base64.env":    []byte("KEY=" + base64.StdEncoding.EncodeToString(armored.Bytes()) + "\n"),
		"base64.yml":    []byte("data:\n  key: >\n    " + strings.Join(chunks(base64.StdEncoding.EncodeToString(plain), 60), "\n    ") + "\n"),
	}
}

func chunks(s string, n int) (out []string) {
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}

// harmlessFiles are like secrets, and none.
func ordinaryFiles() map[string][]byte {
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x30, 0x82}, 300))
	return map[string][]byte{
		"parser.js":   []byte("if (s.startsWith('-----BEGIN PRIVATE KEY-----') && s.endsWith('-----END PRIVATE KEY-----')) return true\n"),
		"README.md":   []byte("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA...\n-----END RSA PRIVATE KEY-----\n"),
		"words.md":    []byte("-----BEGIN PRIVATE KEY-----\nput your own key here and never show it to anybody else in the world at all\n-----END PRIVATE KEY-----\n"),
		"cert.pem":    []byte("-----BEGIN CERTIFICATE-----\n" + long + "\n-----END CERTIFICATE-----\n"),
		"public.pem":  []byte("-----BEGIN PUBLIC KEY-----\n" + long + "\n-----END PUBLIC KEY-----\n"),
		"public.asc":  []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxjMEZQ\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"),
		"age.md":      []byte("AGE-SECRET-KEY-1...\nage1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"),
		"jwk.json":    []byte(`{"keys": [{"kty": "EC", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURo0"}], "d": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURo0"}`),
		"sign.pub":    []byte("untrusted comment: minisign public key 0011223344556677\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n"),
		"trust.jks":   append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2}, make([]byte, 64)...),
		"certs.p12":   append([]byte{0x30, 0x82, 0x02, 0, 0x02, 0x01, 0x03, 0x30, 0x82, 0x01, 0xc4}, make([]byte, 500)...),
		"zero.der":    append([]byte{0x30, 0x40}, make([]byte, 64)...),
		".npmrc":      []byte("registry=https://r.example/\nalways-auth=true\n//r.example/:_authToken=${NPM_TOKEN}\nsave-exact=true\n; _authToken=old\n"),
		"bunfig.toml": []byte("# registry = { token = \"abc\" }\n[install.scopes]\nacme = { token = \"$NPM_TOKEN\", url = \"https://r.example:8080/a@b\" }\n"),
		"base64.js":   []byte("const pem = 'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t', key = 'LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t'\n"),
		"docs.md":     []byte("put //r.example/:_authToken=npm_abc into your .npmrc\n"),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeTree writes files below a new directory, with a package.json.
func writeTree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for p, b := range files {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, p), b, 0o644))
	}
	if files[npmjson.FileName] == nil {
		must(t, os.WriteFile(filepath.Join(dir, npmjson.FileName), []byte(treetest.MinimalPackage), 0o644))
	}
	return dir
}

func secretPaths(err error) []string {
	var secrets *SecretError
	if !errors.As(err, &secrets) {
		return nil
	}
	var paths []string
	for _, s := range secrets.Secrets {
		paths = append(paths, s.Path)
	}
	return paths
}

// TestThreat68SecretsByContent shows SPEC M91: whatever the file is called and however
// its text is laid out, a private key or token is not packed, unless its path is allowed.
func TestThreat68SecretsByContent(t *testing.T) {
	all := secretFiles(t)
	for name, content := range all {
		if name == ".npmrc" { // npm never packs that one from a directory
			continue
		}
		set, err := Scan(writeTree(t, map[string][]byte{name: content, "index.js": []byte("1")}))
		must(t, err)
		if _, err := set.Pack(t.Context(), unixfs.Discard); !slices.Equal(secretPaths(err), []string{name}) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, set.RefuseSecrets("./"+name))
		if _, err := set.Pack(t.Context(), unixfs.Discard); err != nil {
			t.Errorf("%s, allowed: %v", name, err)
		}
		if err := set.RefuseSecrets("nothing"); err == nil {
			t.Error("a file that is not there can be allowed")
		}
	}
	tree := fstest.MapFS{npmjson.FileName: {Data: []byte(treetest.MinimalPackage)}}
	for name, content := range ordinaryFiles() {
		tree[name] = &fstest.MapFile{Data: content}
	}
	set, err := ScanFS(tree)
	must(t, err)
	must(t, set.RefuseSecrets())
	if _, err := set.Pack(t.Context(), unixfs.Discard); err != nil {
		t.Errorf("harmless: %v", err)
	}
	for name, content := range all {
		tree["s/"+name] = &fstest.MapFile{Data: content}
	}
	set, err = ScanFS(tree)
	must(t, err)
	if _, err := set.Pack(t.Context(), unixfs.Discard); err != nil {
		t.Errorf("what was published before: %v", err)
	}
	must(t, set.RefuseSecrets())
	for range 2 { // each time all of them
		if _, err := set.Pack(t.Context(), unixfs.Discard); len(secretPaths(err)) != len(all) {
			t.Errorf("found %q", secretPaths(err))
		}
	}
}

// TestThreat68HomeInPackage shows SPEC M90: no file of a home is packed, wherever links
// and mounts put it, and nothing allows one.
func TestThreat68HomeInPackage(t *testing.T) {
	home := func(dir string) {
		for _, d := range []string{"keys", "blocks/AA"} {
			must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
		}
		for _, f := range []string{"version", "index.db", "trust", "default", "blocks/AA/X.data", "keys/0.txt"} {
			must(t, os.WriteFile(filepath.Join(dir, f), []byte("1\n"), 0o600))
		}
	}
	pkg := map[string][]byte{"index.js": []byte("1")}
	for _, c := range []struct {
		name  string
		given bool // to Scan; otherwise it is known by what is in it
		lay   func(t *testing.T, dir string) (home string)
		first string // of what is found; "" when nothing of it is packed
	}{
		{"inside", true, func(t *testing.T, dir string) string { home(dir + "/.es"); return dir + "/.es" }, ".es/keys/0.txt"},
		{"another home", false, func(t *testing.T, dir string) string { home(dir + "/ci/cache/es"); return "" }, "ci/cache/es/keys/0.txt"},
		{"the package itself", true, func(t *testing.T, dir string) string { home(dir); return dir }, "keys/0.txt"},
		{"by a link", true, func(t *testing.T, dir string) string {
			home(dir + "/real")
			link := t.TempDir() + "/link"
			must(t, os.Symlink(dir+"/real", link))
			return link
		}, "real/keys/0.txt"},
		{"keys elsewhere", true, func(t *testing.T, dir string) string {
			real := t.TempDir()
			home(real)
			must(t, os.Rename(real+"/keys", dir+"/mykeys"))
			must(t, os.Symlink(dir+"/mykeys", real+"/keys"))
			return real
		}, "mykeys/0.txt"},
		{"a linked file", true, func(t *testing.T, dir string) string {
			real := t.TempDir()
			home(real)
			must(t, os.Link(real+"/trust", dir+"/whom.txt"))
			return real
		}, "whom.txt"},
		{"a bundled package behind a link", true, func(t *testing.T, dir string) string {
			home(dir + "/lib/b/.es")
			must(t, os.WriteFile(dir+"/lib/b/package.json", []byte(`{"name":"b","version":"1.0.0"}`), 0o644))
			must(t, os.Mkdir(dir+"/node_modules", 0o755))
			must(t, os.Symlink("../lib/b", dir+"/node_modules/b"))
			must(t, os.WriteFile(dir+"/package.json", []byte(`{"name":"a","version":"1.0.0","files":["index.js"],"dependencies":{"b":"1"},"bundleDependencies":["b"]}`), 0o644))
			return t.TempDir()
		}, "node_modules/b/.es/keys/0.txt"},
		{"named by files", true, func(t *testing.T, dir string) string {
			home(dir + "/.es")
			must(t, os.WriteFile(dir+"/package.json", []byte(`{"name":"a","version":"1.0.0","files":[".es/keys"]}`), 0o644))
			return dir + "/.es"
		}, ".es/keys/0.txt"},
		{"not finished", false, func(t *testing.T, dir string) string {
			must(t, os.MkdirAll(dir+"/lib/.es-tmp-1", 0o755))
			must(t, os.WriteFile(dir+"/lib/.es-tmp-1/a.js", nil, 0o644))
			return ""
		}, "lib/.es-tmp-1/a.js"},
		{"left out", true, func(t *testing.T, dir string) string {
			home(dir + "/.es")
			must(t, os.WriteFile(dir+"/.npmignore", []byte("/.es/\n"), 0o644))
			return dir + "/.es"
		}, ""},
		{"the package in the home", true, func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/index.js", dir+"/trust")) // a file that only has such a name
			return filepath.Dir(dir)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := writeTree(t, pkg)
			var homes []string
			if h := c.lay(t, dir); c.given {
				homes = []string{h}
			}
			_, err := Scan(dir, homes...)
			var secrets *SecretError
			switch {
			case c.first == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.first == "":
			case !errors.As(err, &secrets):
				t.Errorf("not refused: %v", err)
			case secrets.Secrets[0].Path != c.first || !secrets.Secrets[0].OfES:
				t.Errorf("found %+v", secrets.Secrets)
			}
		})
	}
	// What others import goes through the same.
	dir := writeTree(t, pkg)
	home(dir + "/.es")
	set, err := ScanFS(os.DirFS(dir).(fs.ReadDirFS))
	must(t, err)
	if err := set.RefuseSecrets(".es/default"); len(secretPaths(err)) != 6 {
		t.Errorf("a home was allowed: %v", err)
	}
}

// TestM91Told: what may hold passwords is packed, and told.
func TestM91Told(t *testing.T) {
	files := map[string][]byte{}
	for _, p := range []string{".env", ".env.local", "a/.ENV.production", "prod.env", ".netrc", ".env.example", ".env.sample.local", "environment.js", ".envoy"} {
		files[p] = []byte("A=1\n")
	}
	set, err := Scan(writeTree(t, files))
	must(t, err)
	var told []string
	for _, w := range set.Warnings {
		told = append(told, w.Path)
	}
	slices.Sort(told)
	if want := []string{".env", ".env.local", ".netrc", "a/.ENV.production", "prod.env"}; !slices.Equal(told, want) {
		t.Errorf("told of %q", told)
	}
	if len(set.Files) != len(files)+1 {
		t.Errorf("packs %d files", len(set.Files))
	}
}

// TestRandomFilesAreNoKeys: what happens to begin as a packet of a secret key is none
// unless a key stands in it.
func TestRandomFilesAreNoKeys(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(3, 4))
	firsts := []byte{0x94, 0x95, 0x96, 0x97, 0x9c, 0x9d, 0x9e, 0xc5, 0xc7}
	for range 200_000 {
		b := make([]byte, 64+random.IntN(1000))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		b[0] = firsts[random.IntN(len(firsts))]
		if b[0]&0x40 != 0 {
			b[1], b[2] = 40, byte(3+random.IntN(4)) // a length that fits, and a version
		}
		if what := binaryKey(b, true); what != "" {
			t.Fatalf("%x is taken for %s", b, what)
		}
	}
}
