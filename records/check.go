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

const maxInt = 1<<53 - 1 // what JavaScript can hold

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
		return checkDelegate(path, b)
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
		p := c.Prefix()
		if p.Version != 1 || p.Codec != cid.DagCBOR || p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
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
		return broken("R21", path+"/size", "is %d, not between 0 and %d", r.Size, MaxModuleSize)
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
		return brokenErr(nameRule(string(n)), path+"/name", err)
	}
	if _, err := ParseVersion(string(v)); err != nil {
		return brokenErr(versionRule(string(v)), path+"/version", err)
	}
	return nil
}

// nameRule tells which of the name rules s breaks.
func nameRule(s string) string {
	switch {
	case len(s) > MaxName:
		return "R2"
	case nameGrammar.MatchString(s):
		return "R3"
	}
	return "R1"
}

var nameGrammar = regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`)

func versionRule(s string) string {
	switch {
	case len(s) > MaxVersion:
		return "R6"
	case strings.Contains(s, "+"):
		return "R5"
	}
	return "R4"
}

func isModuleCID(c cid.Cid) bool {
	if !c.Defined() {
		return false
	}
	p := c.Prefix()
	return p.Version == 1 && p.Codec == cid.DagProtobuf && p.MhType == multihash.SHA2_256 && p.MhLength == 32
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
			return brokenErr("R9", path+"/"+t.field, err)
		}
	}
	for _, l := range []struct {
		field  string
		items  []string
		sorted bool
	}{
		{"keywords", m.Keywords, false}, {"os", m.OS, false}, {"cpu", m.CPU, false}, {"libc", m.Libc, false},
		{"optionalPeers", m.OptionalPeers, true}, {"bundled", m.Bundled, true},
	} {
		if err := checkList(path+"/"+l.field, l.items, l.sorted); err != nil {
			return err
		}
	}
	if err := checkBin(path+"/bin", m.Bin); err != nil {
		return err
	}
	if err := checkTextMap(path+"/engines", m.Engines); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		deps  map[string]string
	}{
		{"dependencies", m.Dependencies}, {"optionalDependencies", m.OptionalDependencies}, {"peerDependencies", m.PeerDependencies},
	} {
		if err := checkTextMap(path+"/"+d.field, d.deps); err != nil {
			return err
		}
		for _, name := range sortedKeys(d.deps) {
			if !IsDependencyName(name) {
				return broken("R24", path+"/"+d.field, "%q cannot be the name of a dependency", clip(name))
			}
		}
	}
	for _, name := range m.OptionalPeers {
		if _, ok := m.PeerDependencies[name]; !ok {
			return broken("R24", path+"/optionalPeers", "%q is not in peerDependencies", clip(name))
		}
	}
	return nil
}

func checkList(path string, items []string, sorted bool) error {
	if len(items) > MaxListItems {
		return broken("R12", path, "has %d items, the limit is %d", len(items), MaxListItems)
	}
	for i, s := range items {
		if s == "" {
			return broken("R22", path, "has an empty item")
		}
		if err := CheckText(s, MaxText); err != nil {
			return brokenErr("R9", fmt.Sprintf("%s/%d", path, i), err)
		}
		if sorted && i > 0 && items[i-1] >= s {
			return broken("R22", path, "is not sorted by bytes without duplicates")
		}
	}
	return nil
}

func checkTextMap(path string, m map[string]string) error {
	if len(m) > MaxMapEntries {
		return broken("R12", path, "has %d entries, the limit is %d", len(m), MaxMapEntries)
	}
	for _, k := range sortedKeys(m) {
		if k == "" {
			return broken("R22", path, "has an empty key")
		}
		if err := CheckText(k, MaxText); err != nil {
			return brokenErr("R9", path, fmt.Errorf("key %q: %w", clip(k), err))
		}
		if err := CheckText(m[k], MaxText); err != nil {
			return brokenErr("R9", path+"/"+k, err)
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
			return brokenErr("R23", path, err)
		}
		if err := CheckPath(bin[command]); err != nil {
			return brokenErr("R23", path+"/"+command, err)
		}
	}
	return nil
}

// CheckCommand checks the name of a command that a module installs: one file
// name of letters, digits, '.', '_' and '-' that no system takes for anything
// else.
func CheckCommand(s string) error {
	if len(s) == 0 || len(s) > MaxName {
		return fmt.Errorf("command has %d bytes, it must have 1 to %d", len(s), MaxName)
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return fmt.Errorf("command %q: only letters, digits, '.', '_' and '-' are allowed", s)
		}
	}
	if strings.Trim(s, ".") == "" || s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.' || isWindowsDevice(s) {
		return fmt.Errorf("command %q: is not a file name on every system", s)
	}
	return nil
}

// CheckPath checks the path of a file in a module: relative, with '/' between
// non-empty elements, and never leading out.
func CheckPath(s string) error {
	if len(s) == 0 || len(s) > MaxText {
		return fmt.Errorf("path has %d bytes, it must have 1 to %d", len(s), MaxText)
	}
	if err := CheckText(s, MaxText); err != nil {
		return fmt.Errorf("path %q: %w", clip(s), err)
	}
	for _, e := range strings.Split(s, "/") {
		if e == "" || e == "." || e == ".." || strings.ContainsAny(e, `\:`) || isWindowsDevice(e) {
			return fmt.Errorf("path %q: is not a relative path on every system", clip(s))
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
		return brokenErr("R9", path+"/registry", err)
	}
	p := o.Tarball.Prefix()
	if !o.Tarball.Defined() || p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != 32 || p.Codec != cid.DagProtobuf && p.Codec != cid.Raw {
		return broken("R26", path+"/tarball", "is not a file (CIDv1, dag-pb or raw, sha2-256)")
	}
	if len(o.SHA512) != 64 {
		return broken("R26", path+"/sha512", "has %d bytes, it must have 64", len(o.SHA512))
	}
	if len(o.Signatures) > 8 {
		return broken("R26", path+"/signatures", "has %d items, the limit is 8", len(o.Signatures))
	}
	for i, s := range o.Signatures {
		at := fmt.Sprintf("%s/signatures/%d", path, i)
		if err := CheckText(s.KeyID, MaxText); err != nil {
			return brokenErr("R9", at+"/keyid", err)
		}
		if s.KeyID == "" || len(s.Signature) == 0 || len(s.Signature) > MaxSignature {
			return broken("R26", at, "has an empty key id, or a signature that does not have 1 to %d bytes", MaxSignature)
		}
	}
	return nil
}

func checkTag(path string, t *Tag) error {
	if err := checkNameVersion(path, t.Name, t.Version); err != nil {
		return err
	}
	return brokenErr("R27", path+"/tag", CheckTag(t.Tag))
}

// CheckTag checks a distribution tag such as "latest": at most MaxTag letters,
// digits, '.', '_' and '-', beginning with a letter, and not a version range.
func CheckTag(s string) error {
	if len(s) == 0 || len(s) > MaxTag {
		return fmt.Errorf("tag has %d bytes, it must have 1 to %d", len(s), MaxTag)
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return fmt.Errorf("tag %q: only letters, digits, '.', '_' and '-' are allowed", clip(s))
		}
	}
	if c := s[0] | 0x20; c < 'a' || c > 'z' {
		return fmt.Errorf("tag %q: must begin with a letter", s)
	}
	if looksLikeRange.MatchString(s) {
		return fmt.Errorf("tag %q: is also a version range", s)
	}
	return nil
}

// looksLikeRange matches the words that npm's range grammar takes and that
// begin with a letter: "v1", "x", "X.1".
var looksLikeRange = regexp.MustCompile(`^(v[0-9xX.*-]*|[xX](\.[0-9xX]+)*)$`)

func checkNotice(path string, n *Notice) error {
	if err := checkName(string(n.Name)); err != nil {
		return broken(nameRule(string(n.Name)), path+"/name", "module name %q: %v", clip(string(n.Name)), err)
	}
	if (n.Range == "") != n.Record.Defined() {
		return broken("R28", path, "must have exactly one of \"range\" and \"record\"")
	}
	if n.Record.Defined() {
		if p := n.Record.Prefix(); p.Version != 1 || p.Codec != cid.DagCBOR || p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
			return broken("R28", path+"/record", "is not a record id (CIDv1, dag-cbor, sha2-256)")
		}
	}
	for _, t := range []struct{ field, text string }{{"range", n.Range}, {"text", n.Text}, {"fixed", n.Fixed}} {
		if err := CheckText(t.text, MaxText); err != nil {
			return brokenErr("R9", path+"/"+t.field, err)
		}
	}
	switch n.NoticeOf {
	case Deprecated, Yanked:
		if n.Severity != "" || n.Fixed != "" {
			return broken("R29", path, "has a severity or a fixed range, which only an advisory has")
		}
	case Advisory:
		switch n.Severity {
		case "", "low", "moderate", "high", "critical":
		default:
			return broken("R29", path+"/severity", "is %q, not low, moderate, high or critical", clip(n.Severity))
		}
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
	return brokenErr("R9", path+"/text", CheckText(e.Text, MaxText))
}

func checkDelegate(path string, d *Delegate) error {
	if d.To.IsZero() {
		return broken("R7", path+"/to", "is missing")
	}
	if len(d.Scopes) > MaxScopes {
		return broken("R31", path+"/scopes", "has %d items, the limit is %d", len(d.Scopes), MaxScopes)
	}
	for i, s := range d.Scopes {
		if err := checkScope(string(s)); err != nil {
			return broken("R8", fmt.Sprintf("%s/scopes/%d", path, i), "scope %q: %v", clip(string(s)), err)
		}
		if i > 0 && d.Scopes[i-1] >= s {
			return broken("R31", path+"/scopes", "is not sorted by bytes without duplicates")
		}
	}
	if d.Depth < 0 || d.Depth > MaxDepthGrant {
		return broken("R31", path+"/depth", "is %d, not between 0 and %d", d.Depth, MaxDepthGrant)
	}
	if d.Until < 0 || d.Until > MaxTime {
		return broken("R31", path+"/until", "is %d, not between 0 and %d", d.Until, int64(MaxTime))
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
