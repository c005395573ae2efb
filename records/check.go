package records

import (
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// check holds r against every rule that its bytes alone decide.
func check(r *Record) error {
	if r.Author.IsZero() {
		return broken("R7", "author", "is missing")
	}
	if err := checkPrev(r); err != nil {
		return err
	}
	if r.Time < 0 || r.Time > MaxTime {
		return broken("R18", "time", "is %d, not between 0 and %d", r.Time, int64(MaxTime))
	}
	if r.Body == nil {
		return broken("R19", "body", "is missing")
	}
	path := "body/" + r.Body.Kind()
	switch b := r.Body.(type) {
	case *Release:
		return checkRelease(path, b)
	case *Tag:
		return checkTag(path, b)
	case *Notice:
		return checkNotice(path, b)
	case *Endorse:
		return checkEndorse(path, b)
	case *Delegate:
		return checkDelegate(path, r, b)
	case *Successor:
		if b.To.IsZero() == b.From.IsZero() {
			return broken("R32", path, "must have exactly one of \"to\" and \"from\"")
		}
		if b.To == r.Author || b.From == r.Author {
			return broken("R32", path, "names its own author")
		}
		return nil
	case *Heartbeat:
		if b.Next <= r.Time || b.Next > MaxTime {
			return broken("R33", path+"/next", "is %d, not after the record's time", b.Next)
		}
		return nil
	}
	return broken("R19", "body", "has the unknown kind %q", r.Body.Kind())
}

func checkPrev(r *Record) error {
	if len(r.Prev) > MaxPrev {
		return broken("R17", "prev", "has %d links, the limit is %d", len(r.Prev), MaxPrev)
	}
	for i, c := range r.Prev {
		if !isRecordID(c) {
			return broken("R17", fmt.Sprintf("prev/%d", i), "is not a record id (CIDv1, dag-cbor, sha2-256)")
		}
		if i > 0 && bytes.Compare(r.Prev[i-1].Bytes(), c.Bytes()) >= 0 {
			return broken("R17", "prev", "is not sorted by bytes without duplicates")
		}
	}
	if r.Seq < 0 || r.Seq > maxInt {
		return broken("R16", "seq", "is %d, not between 0 and 2^53-1", r.Seq)
	}
	if (r.Seq == 0) != (len(r.Prev) == 0) {
		return broken("R16", "seq", "is %d with %d links in prev; it is 0 exactly when prev is empty", r.Seq, len(r.Prev))
	}
	return nil
}

func checkRelease(path string, r *Release) error {
	if err := checkNameVersion(path, r.Name, r.Version); err != nil {
		return err
	}
	if err := checkModule(path+"/module", r.Module); err != nil {
		return err
	}
	if r.Files < 1 || r.Files > MaxFiles {
		return broken("R21", path+"/files", "is %d, not between 1 and %d", r.Files, MaxFiles)
	}
	if r.Size < 0 || r.Size > MaxModuleSize {
		return broken("R21", path+"/size", "is %d, not between 0 and %d", r.Size, int64(MaxModuleSize))
	}
	if err := checkManifest(path+"/manifest", &r.Manifest); err != nil {
		return err
	}
	if len(r.Pins) > MaxMapEntries {
		return broken("R12", path+"/pins", "has %d entries, the limit is %d", len(r.Pins), MaxMapEntries)
	}
	for _, name := range sortedKeys(r.Pins) {
		if err := checkName(string(name)); err != nil {
			return broken("R25", path+"/pins", "module name %q: %v", clip(string(name)), err)
		}
		if !isModuleCID(r.Pins[name]) {
			return broken("R25", path+"/pins/"+string(name), "is not a module (CIDv1, dag-pb, sha2-256)")
		}
	}
	return checkOrigin(path+"/origin", r.Origin)
}

func checkNameVersion(path string, n Name, v Version) error {
	if _, err := ParseName(string(n)); err != nil {
		return within(path+"/name", err)
	}
	if _, err := ParseVersion(string(v)); err != nil {
		return within(path+"/version", err)
	}
	return nil
}

func isModuleCID(c cid.Cid) bool { return isCID(c, cid.DagProtobuf) }

func isRecordID(c cid.Cid) bool { return isCID(c, cid.DagCBOR) }

// isCID reports whether c is a CIDv1 of one codec, by sha2-256.
func isCID(c cid.Cid, codec uint64) bool {
	return c.Defined() && c.Prefix() == cid.Prefix{Version: 1, Codec: codec, MhType: multihash.SHA2_256, MhLength: 32}
}

func checkModule(path string, c cid.Cid) error {
	if !isModuleCID(c) {
		return broken("R20", path, "is not a module (CIDv1, dag-pb, sha2-256)")
	}
	return nil
}

func checkManifest(path string, m *Manifest) error {
	for _, t := range []struct {
		field, text string
	}{{"description", m.Description}, {"license", m.License}, {"homepage", m.Homepage}, {"repository", m.Repository}} {
		if err := CheckText(t.text, MaxText); err != nil {
			return within(path+"/"+t.field, err)
		}
	}
	for _, l := range []struct {
		field string
		items []string
		names bool // a set of module names, and so sorted
	}{
		{"keywords", m.Keywords, false}, {"os", m.OS, false}, {"cpu", m.CPU, false}, {"libc", m.Libc, false},
		{"optionalPeers", m.OptionalPeers, true}, {"bundled", m.Bundled, true},
	} {
		if err := checkList(path+"/"+l.field, l.items); err != nil {
			return err
		}
		if !l.names {
			continue
		}
		for i, s := range l.items {
			if err := checkDependencyName(path+"/"+l.field, s); err != nil {
				return err
			}
			if i > 0 && l.items[i-1] >= s {
				return broken("R22", path+"/"+l.field, "is not sorted by bytes without duplicates")
			}
		}
	}
	if err := checkBin(path+"/bin", m.Bin); err != nil {
		return err
	}
	if err := checkTextMap(path+"/engines", m.Engines, MaxText); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		deps  map[string]string
	}{
		{"dependencies", m.Dependencies}, {"optionalDependencies", m.OptionalDependencies}, {"peerDependencies", m.PeerDependencies},
	} {
		if err := checkTextMap(path+"/"+d.field, d.deps, MaxLongText); err != nil {
			return err
		}
		for _, name := range sortedKeys(d.deps) {
			if err := checkDependencyName(path+"/"+d.field, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDependencyName(path, name string) error {
	if !IsDependencyName(name) {
		return broken("R24", path, "%q cannot be the name of a dependency", clip(name))
	}
	return nil
}

func checkList(path string, items []string) error {
	if len(items) > MaxListItems {
		return broken("R12", path, "has %d items, the limit is %d", len(items), MaxListItems)
	}
	for i, s := range items {
		if s == "" {
			return broken("R22", path, "has an empty item")
		}
		if err := CheckText(s, MaxText); err != nil {
			return within(fmt.Sprintf("%s/%d", path, i), err)
		}
	}
	return nil
}

func checkTextMap(path string, m map[string]string, max int) error {
	if len(m) > MaxMapEntries {
		return broken("R12", path, "has %d entries, the limit is %d", len(m), MaxMapEntries)
	}
	for _, k := range sortedKeys(m) {
		if k == "" {
			return broken("R22", path, "has an empty key")
		}
		if err := CheckText(k, MaxText); err != nil {
			return within(path, fmt.Errorf("key %q: %w", clip(k), err))
		}
		if err := CheckText(m[k], max); err != nil {
			return within(path+"/"+k, err)
		}
	}
	return nil
}

func checkBin(path string, bin map[string]string) error {
	if len(bin) > MaxMapEntries {
		return broken("R12", path, "has %d entries, the limit is %d", len(bin), MaxMapEntries)
	}
	for _, command := range sortedKeys(bin) {
		if err := CheckCommand(command); err != nil {
			return within(path, err)
		}
		if err := CheckPath(bin[command]); err != nil {
			return within(path+"/"+command, err)
		}
	}
	return nil
}

// CheckCommand checks the name of a command that a module installs: one file
// name of letters, digits, '.', '_' and '-' that no system takes for anything
// else.
func CheckCommand(s string) error {
	if len(s) == 0 || len(s) > MaxName {
		return against("R23", "command has %d bytes, it must have 1 to %d", len(s), MaxName)
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return against("R23", "command %q: only letters, digits, '.', '_' and '-' are allowed", s)
		}
	}
	if strings.Trim(s, ".") == "" || s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.' || IsWindowsDevice(s) {
		return against("R23", "command %q: is not a file name on every system", s)
	}
	return nil
}

// windowsPrograms are the endings that Windows adds to what is typed.
var windowsPrograms = []string{".com", ".exe", ".bat", ".cmd", ".ps1"}

// IsReservedCommand reports whether command is, in any case and with an ending that
// Windows adds, one that everything else is run with, and name is not the module of
// that very program (SPEC M47, I21).
func IsReservedCommand(command string, name Name) bool {
	command = strings.ToLower(command)
	for _, ending := range windowsPrograms {
		if program, cut := strings.CutSuffix(command, ending); cut {
			command = program
			break
		}
	}
	switch command {
	case "node", "npm", "es":
		return string(name) != command
	case "npx":
		return name != "npm" && name != "npx"
	}
	return false
}

// CheckPath checks the path of a file in a module: relative, with '/' between
// non-empty elements, and never leading out.
func CheckPath(s string) error {
	if len(s) == 0 || len(s) > MaxText {
		return against("R23", "path has %d bytes, it must have 1 to %d", len(s), MaxText)
	}
	if err := CheckText(s, MaxText); err != nil {
		return against("R23", "path %q: %v", clip(s), err)
	}
	for _, e := range strings.Split(s, "/") {
		if e == "" || e == "." || e == ".." || strings.ContainsAny(e, `\:`) || IsWindowsDevice(e) {
			return against("R23", "path %q: is not a relative path on every system", clip(s))
		}
	}
	return nil
}

// IsDependencyName reports whether s can stand in a dependency map. Besides
// what ParseName takes, these are names that npm no longer gives out but still
// serves: with upper-case letters, longer, or beginning with '_' or '-'.
func IsDependencyName(s string) bool {
	if len(s) > 214 {
		return false
	}
	base := s
	if strings.HasPrefix(s, "@") {
		scope, rest, ok := strings.Cut(s[1:], "/")
		if !ok || !isDependencyPart(scope) {
			return false
		}
		base = rest
	}
	return isDependencyPart(base)
}

func isDependencyPart(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) && s[i] != '~' {
			return false
		}
	}
	return s != "" && s[0] != '.' && s != "node_modules"
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

func checkOrigin(path string, o *Origin) error {
	if o == nil {
		return nil
	}
	if o.Registry == "" {
		return broken("R26", path+"/registry", "is empty")
	}
	if err := CheckText(o.Registry, MaxText); err != nil {
		return within(path+"/registry", err)
	}
	if !isCID(o.Tarball, cid.DagProtobuf) && !isCID(o.Tarball, cid.Raw) {
		return broken("R26", path+"/tarball", "is not a file (CIDv1, dag-pb or raw, sha2-256)")
	}
	if len(o.SHA512) != 64 {
		return broken("R26", path+"/sha512", "has %d bytes, it must have 64", len(o.SHA512))
	}
	if len(o.Signatures) > MaxOriginSigs {
		return broken("R26", path+"/signatures", "has %d items, the limit is %d", len(o.Signatures), MaxOriginSigs)
	}
	for i, s := range o.Signatures {
		at := fmt.Sprintf("%s/signatures/%d", path, i)
		if err := CheckText(s.KeyID, MaxText); err != nil {
			return within(at+"/keyid", err)
		}
		if s.KeyID == "" || len(s.Signature) == 0 || len(s.Signature) > MaxSignature {
			return broken("R26", at, "has an empty key id, or a signature that does not have 1 to %d bytes", MaxSignature)
		}
	}
	return nil
}

func checkTag(path string, t *Tag) error {
	if _, err := ParseName(string(t.Name)); err != nil {
		return within(path+"/name", err)
	}
	if t.Version != "" {
		if _, err := ParseVersion(string(t.Version)); err != nil {
			return within(path+"/version", err)
		}
	}
	return within(path+"/tag", CheckTag(t.Tag))
}

// CheckTag checks a distribution tag such as "latest": at most MaxTag letters,
// digits, '.', '_' and '-', beginning with a letter, and not a version range.
func CheckTag(s string) error {
	if len(s) == 0 || len(s) > MaxTag {
		return against("R27", "tag has %d bytes, it must have 1 to %d", len(s), MaxTag)
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return against("R27", "tag %q: only letters, digits, '.', '_' and '-' are allowed", clip(s))
		}
	}
	if c := s[0] | 0x20; c < 'a' || c > 'z' {
		return against("R27", "tag %q: must begin with a letter", s)
	}
	if looksLikeRange.MatchString(s) {
		return against("R27", "tag %q: is also a version range", s)
	}
	return nil
}

// looksLikeRange matches all words of a tag's characters that npm takes for a
// version or a range ("v1", "x", "v1.0.0-rc.1"), and hardly any other: "v17-lts"
// is a tag.
var looksLikeRange = regexp.MustCompile(`^v*([0-9]+|[xX])(\.([0-9]+|[xX])(\.([0-9]+|[xX])([-._0-9A-Za-z].*)?)?)?$`)

func checkNotice(path string, n *Notice) error {
	if _, err := ParseName(string(n.Name)); err != nil {
		return within(path+"/name", err)
	}
	if (n.Range == "") != n.Record.Defined() {
		return broken("R28", path, "must have exactly one of \"range\" and \"record\"")
	}
	if n.Record.Defined() {
		if !isRecordID(n.Record) {
			return broken("R28", path+"/record", "is not a record id (CIDv1, dag-cbor, sha2-256)")
		}
	}
	for _, t := range []struct{ field, text string }{{"range", n.Range}, {"text", n.Text}, {"fixed", n.Fixed}} {
		if err := CheckText(t.text, MaxLongText); err != nil {
			return within(path+"/"+t.field, err)
		}
	}
	switch n.NoticeOf {
	case Deprecated, Yanked:
		if n.Severity != "" || n.Fixed != "" || len(n.Refs) > 0 {
			return broken("R29", path, "has a severity, a fixed range or references, which only an advisory has")
		}
	case Advisory:
		switch n.Severity {
		case "", "low", "moderate", "high", "critical":
		default:
			return broken("R29", path+"/severity", "is %q, not low, moderate, high or critical", clip(n.Severity))
		}
		if len(n.Refs) > MaxRefs {
			return broken("R29", path+"/refs", "has %d items, the limit is %d", len(n.Refs), MaxRefs)
		}
		return checkList(path+"/refs", n.Refs)
	default:
		return broken("R29", path+"/kind", "is %q, not deprecated, yanked or advisory", clip(n.NoticeOf))
	}
	return nil
}

func checkEndorse(path string, e *Endorse) error {
	if err := checkNameVersion(path, e.Name, e.Version); err != nil {
		return err
	}
	if err := checkModule(path+"/module", e.Module); err != nil {
		return err
	}
	switch e.Claim {
	case Reviewed, Rebuilt, Imported:
	default:
		return broken("R30", path+"/claim", "is %q, not reviewed, rebuilt or imported", clip(e.Claim))
	}
	return within(path+"/text", CheckText(e.Text, MaxLongText))
}

func checkDelegate(path string, r *Record, d *Delegate) error {
	if d.To.IsZero() {
		return broken("R7", path+"/to", "is missing")
	}
	if d.To == r.Author {
		return broken("R31", path+"/to", "is the record's own author")
	}
	if len(d.Scopes) == 0 && (d.Depth != 0 || d.Until != 0) {
		return broken("R31", path, "takes a delegation back, so its depth and until must be 0")
	}
	if len(d.Scopes) > MaxScopes {
		return broken("R31", path+"/scopes", "has %d items, the limit is %d", len(d.Scopes), MaxScopes)
	}
	for i, s := range d.Scopes {
		if err := checkScope(string(s)); err != nil {
			return within(fmt.Sprintf("%s/scopes/%d", path, i), fmt.Errorf("scope %q: %w", clip(string(s)), err))
		}
		if i > 0 && d.Scopes[i-1] >= s {
			return broken("R31", path+"/scopes", "is not sorted by bytes without duplicates")
		}
	}
	if d.Depth < 0 || d.Depth > MaxDepthGrant {
		return broken("R31", path+"/depth", "is %d, not between 0 and %d", d.Depth, MaxDepthGrant)
	}
	if len(d.Scopes) > 0 && (d.Until <= r.Time || d.Until > MaxTime) {
		return broken("R31", path+"/until", "is %d, not after the record's time", d.Until)
	}
	return nil
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
