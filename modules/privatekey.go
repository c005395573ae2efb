package modules

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/bits"
	"regexp"
	"slices"
)

const (
	// secretWindow is how many bytes of a file are looked at together; a key that has
	// more is found by its beginning.
	secretWindow = 64 << 10
	// maxDER is the largest file that is tried as a private key in DER.
	maxDER = 16 << 10
	// minKeyBytes is the shortest private key, less than that of Ed25519 in PKCS #8.
	minKeyBytes = 40
)

var (
	beginKey = regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`)
	endKey   = []byte("-----END ")
	// encodedKey is the beginning of PEM, or of an armor, in Base64.
	encodedKey = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]+`)
	ageKey     = regexp.MustCompile(`AGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58}`)
	putty      = regexp.MustCompile(`(?m)^PuTTY-User-Key-File-[0-9]+: `)
	ssh2       = []byte("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----")
	swarmKey   = []byte("/key/swarm/psk/1.0.0/")
	minisign   = regexp.MustCompile(`(?m)^untrusted comment: .*\r?\nRWR(?:TY0Iy|CSw)[A-Za-z0-9+/]{60,}`)
	jwkType    = regexp.MustCompile(`"kty"\s*:\s*"(?:OKP|EC|RSA)"`)
	jwkKey     = regexp.MustCompile(`"d"\s*:\s*"[A-Za-z0-9_-]{43,}"`)
	// utf16Key is what is in every key in PEM or armor that is written in UTF-16.
	utf16Key = []byte("P\x00R\x00I\x00V\x00A\x00T\x00E\x00 \x00K\x00E\x00Y\x00")
	// pkcs12 is near the beginning of a store of keys and certificates, pkcs12Keys the
	// type of an entry with a key, less its last byte (RFC 7292, 4 and 4.2).
	pkcs12     = []byte{0x02, 0x01, 0x03, 0x30}
	pkcs12Keys = []byte{0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01}
	// javaStores begin a Java key store.
	javaStores = [][]byte{{0xfe, 0xed, 0xfe, 0xed}, {0xce, 0xce, 0xce, 0xce}}
	// sealedDER are the beginnings of the algorithms that seal a key in PKCS #8
	// (RFC 8018, RFC 7292).
	sealedDER = []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 5}, {1, 2, 840, 113549, 1, 12, 1}}
	// libp2pKey begins an Ed25519 key as libp2p marshals it.
	libp2pKey = []byte{8, 1, 0x12, 64}
)

// A secretReader passes a file on and looks for a private key in it.
type secretReader struct {
	r      io.Reader
	buf    []byte // the last bytes, at most two windows
	start  bool   // buf begins where the file does
	utf16  bool   // the file is in UTF-16: zero bytes mean nothing
	config bool   // the file may hold tokens of a registry
	found  string // what was found
}

func newSecretReader(r io.Reader, p string) *secretReader {
	return &secretReader{r: r, start: true, config: isRegistryConfig(p)}
}

func (s *secretReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	for b := p[:n]; len(b) > 0 && s.found == ""; {
		m := min(len(b), 2*secretWindow-len(s.buf))
		s.buf = append(s.buf, b[:m]...)
		b = b[m:]
		if len(s.buf) == 2*secretWindow {
			s.scan(false)
			s.buf = slices.Delete(s.buf, 0, secretWindow)
			s.start = false
		}
	}
	return n, err
}

// finish looks at the end of the file, and says what was found.
func (s *secretReader) finish() string {
	if s.found == "" {
		s.scan(true)
	}
	return s.found
}

func (s *secretReader) scan(whole bool) {
	b := s.buf
	if s.start {
		s.utf16 = bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff"))
		if s.found = binaryKey(b, whole); s.found != "" {
			return
		}
	}
	if s.utf16 || bytes.Contains(b, utf16Key) {
		b = bytes.ReplaceAll(b, []byte{0}, nil)
	}
	s.found = textKey(b)
	if s.found == "" && s.config && hasRegistryToken(b) {
		s.found = "the configuration of a registry's client, with a token or password"
	}
}

// textKey finds a private key that is written as text, and says of which kind.
func textKey(b []byte) string {
	if bytes.Contains(b, []byte("PRIVATE KEY")) {
		for _, at := range beginKey.FindAllIndex(b, -1) {
			if what := armoredKey(b[at[1]:]); what != "" {
				return what
			}
		}
		if bytes.Contains(b, ssh2) {
			return "an SSH private key"
		}
	}
	if what := base64Key(b); what != "" {
		return what
	}
	switch {
	case bytes.Contains(b, []byte("AGE-SECRET-KEY-")) && ageKey.Match(b):
		return "an age secret key"
	case bytes.Contains(b, []byte("PuTTY-User-Key-File-")) && putty.Match(b) && bytes.Contains(b, []byte("Private-Lines:")):
		return "a PuTTY private key"
	case bytes.Contains(b, []byte(`"kty"`)) && hasJWK(b):
		return "a private key (JWK)"
	case bytes.Contains(b, []byte("untrusted comment: ")) && minisign.Match(b):
		return "a secret key of minisign or signify"
	case bytes.HasPrefix(bytes.TrimSpace(b), swarmKey):
		return "the key of a private network"
	}
	return ""
}

// base64Key finds what textKey finds in PEM or an armor that is written in Base64 once more, as
// for a variable of a CI.
func base64Key(b []byte) string {
	for _, text := range encodedKey.FindAll(b, -1) {
		digits := bytes.TrimRight(bytes.Join(bytes.Fields(text), nil), "=")
		inner := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
		n, _ := base64.RawStdEncoding.Decode(inner, digits) // as far as it goes
		if at := beginKey.FindIndex(inner[:n]); at != nil {
			if what := armoredKey(inner[at[1]:n]); what != "" {
				return what
			}
		}
	}
	return ""
}

// armoredKey says what follows after a line of PEM or of OpenPGP's armor. Programs and
// texts name such lines, and leave the key out: only what can be decoded is one. The
// lines may be indented, quoted, commented, or written as escapes in one string.
func armoredKey(rest []byte) string {
	rest = rest[:min(len(rest), secretWindow)]
	if end := bytes.Index(rest, endKey); end >= 0 {
		rest = rest[:end]
	}
	for _, escaped := range []string{`\r`, `\n`, `\t`} {
		rest = bytes.ReplaceAll(rest, []byte(escaped), []byte("\n"))
	}
	var digits []byte
	encrypted := false
	for line := range bytes.Lines(rest) {
		line = plainLine(line)
		switch {
		case bytes.ContainsRune(line, ':'): // a header
			encrypted = encrypted || bytes.Contains(line, []byte("ENCRYPTED"))
		case len(line) == 5 && line[0] == '=': // the checksum of an armor
		default:
			digits = append(digits, line...)
		}
	}
	digits = bytes.TrimRight(digits, "=")
	key := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, err := base64.RawStdEncoding.Decode(key, digits[:len(digits)-len(digits)%4])
	if err != nil || n < minKeyBytes {
		return ""
	}
	key = key[:n]
	switch {
	case isPacketOfSecretKey(key, false):
		return "an OpenPGP secret key"
	case bytes.HasPrefix(key, []byte("openssh-key-v1\x00")):
		return "an OpenSSH private key"
	case key[0] == 0x30 || encrypted: // DER, or what a cipher makes of it
		return "a private key"
	}
	return ""
}

// plainLine takes off what holds a line of a key in a source file, and white space.
func plainLine(line []byte) []byte {
	line = bytes.TrimSpace(line)
	for _, prefix := range []string{"// ", "+ "} {
		line = bytes.TrimPrefix(line, []byte(prefix))
	}
	for _, suffix := range []string{" +", `"+`, `'+`} {
		line = bytes.TrimSuffix(line, []byte(suffix))
	}
	return bytes.Join(bytes.Fields(bytes.Trim(line, " \t\"'`,;*#|>\\")), nil)
}

// binaryKey says what a file is that is a private key as a whole.
func binaryKey(b []byte, whole bool) string {
	if isPacketOfSecretKey(b, whole) {
		return "an OpenPGP secret key"
	}
	if whole && len(b) == len(libp2pKey)+64 && bytes.HasPrefix(b, libp2pKey) {
		return "the private key of a libp2p peer"
	}
	if isKeyStore(b) {
		return "a key store with a private key"
	}
	if !whole || len(b) > maxDER || len(b) < minKeyBytes || b[0] != 0x30 {
		return ""
	}
	_, pkcs8 := x509.ParsePKCS8PrivateKey(b)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(b)
	_, ec := x509.ParseECPrivateKey(b)
	if pkcs8 == nil || pkcs1 == nil || ec == nil || isSealedKey(b) {
		return "a private key"
	}
	return ""
}

// isSealedKey reports whether b is a private key under a passphrase, in DER.
func isSealedKey(b []byte) bool {
	var sealed struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	rest, err := asn1.Unmarshal(b, &sealed)
	return err == nil && len(rest) == 0 && slices.ContainsFunc(sealedDER, func(oid asn1.ObjectIdentifier) bool {
		id := sealed.Algorithm.Algorithm
		return len(id) > len(oid) && id[:len(oid)].Equal(oid)
	})
}

// isKeyStore reports whether b begins a file of PKCS #12 or Java with a private key in it.
func isKeyStore(b []byte) bool {
	for _, magic := range javaStores {
		if bytes.HasPrefix(b, magic) && len(b) > 16 && bytes.Equal(b[12:16], []byte{0, 0, 0, 1}) {
			return true
		}
	}
	if len(b) < minKeyBytes || b[0] != 0x30 || !bytes.Contains(b[:12], pkcs12) {
		return false
	}
	return bytes.Contains(b, append(slices.Clone(pkcs12Keys), 1)) || bytes.Contains(b, append(slices.Clone(pkcs12Keys), 2))
}

// hasJWK reports whether a JSON object of b is a private key (RFC 7517).
func hasJWK(b []byte) bool {
	for _, at := range jwkType.FindAllIndex(b, -1) {
		object := b[bytes.LastIndexByte(b[:at[0]], '{')+1:]
		if end := bytes.IndexByte(object, '}'); end >= 0 {
			object = object[:end]
		}
		if jwkKey.Match(object) {
			return true
		}
	}
	return false
}

// isPacketOfSecretKey reports whether b begins with a secret key packet, or one of a
// secret subkey (RFC 9580, 4.2 and 5.5), and goes on with another packet or ends. If b is
// not the whole file, it may end within the packet.
func isPacketOfSecretKey(b []byte, whole bool) bool {
	if len(b) < 2 || b[0]&0x80 == 0 {
		return false
	}
	tag, at, n := int(b[0]>>2&15), 0, 0
	if b[0]&0x40 != 0 {
		tag = int(b[0] & 63)
		switch {
		case b[1] < 192:
			at, n = 2, int(b[1])
		case b[1] < 224 && len(b) > 2:
			at, n = 3, int(b[1]-192)<<8+int(b[2])+192
		case b[1] == 255 && len(b) > 5:
			at, n = 6, int(b[2])<<24|int(b[3])<<16|int(b[4])<<8|int(b[5])
		}
	} else if size := 1 << (b[0] & 3); size <= 4 && len(b) > size {
		at = 1 + size
		for _, digit := range b[1:at] {
			n = n<<8 | int(digit)
		}
	}
	if tag != 5 && tag != 7 || at == 0 || n < 24 || n > 64<<10 || len(b) < at+6 {
		return false
	}
	body := b[at:min(at+n, len(b))]
	if len(body) < n && whole || len(b) > at+n && !beginsKeyPart(b[at+n]) {
		return false
	}
	return hasPublicKey(body, n)
}

// beginsKeyPart reports whether a packet that begins so may follow one of a key: a
// signature, a key, a user id or attribute, a marker, trust or padding.
func beginsKeyPart(first byte) bool {
	if first&0x80 == 0 {
		return false
	}
	tag := first >> 2 & 15
	if first&0x40 != 0 {
		tag = first & 63
	}
	return slices.Contains([]byte{2, 5, 6, 7, 10, 12, 13, 14, 17, 21}, tag)
}

// hasPublicKey reports whether the body of a packet of n bytes begins as a key of a
// version and an algorithm that there are (RFC 9580, 5.5.2 and 5.5.5): random bytes do
// that once in many millions.
func hasPublicKey(body []byte, n int) bool {
	material := 6 // after version, time and algorithm
	version, algorithm := body[0], body[5]
	switch version {
	case 3: // whose days of life come before the algorithm
		if len(body) < 8 {
			return false
		}
		material, algorithm = 8, body[7]
	case 4:
	case 5, 6: // which count the octets that follow
		material = 10
	default:
		return false
	}
	if len(body) < material+8 {
		return false
	}
	m := body[material:]
	switch {
	case algorithm >= 1 && algorithm <= 3, algorithm == 16, algorithm == 17, algorithm == 20: // an MPI first
		length := int(m[0])<<8 | int(m[1])
		return length >= 512 && length <= 16<<10 && bits.Len8(m[2]) == (length-1)%8+1 && 2+(length+7)/8 <= n-material
	case algorithm == 18, algorithm == 19, algorithm == 22: // the length of an OID, and its first octets
		return m[0] >= 5 && m[0] <= 16 && (m[1] == 0x2a && m[2] == 0x86 || m[1] == 0x2b && (m[2] == 0x81 || m[2] == 0x06 || m[2] == 0x24))
	case version >= 5 && algorithm >= 25 && algorithm <= 36:
		count := int(body[6])<<24 | int(body[7])<<16 | int(body[8])<<8 | int(body[9])
		return count >= 32 && count <= 4<<10
	}
	return version == 4 && algorithm >= 25 && algorithm <= 28 && n >= material+2*32+1
}
