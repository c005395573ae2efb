package install

import (
	"fmt"
	"strings"

	"deps.dev/util/semver"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Kind says what a Spec asks for.
type Kind int

const (
	Latest  Kind = iota // nothing was said: the tag "latest", or else the newest
	Version             // exactly one version
	Range               // an npm version range
	Tag                 // a word such as "next"
	CID                 // exactly one module, whoever signed it or nobody
)

// MaxSpec is the most bytes of a spec.
const MaxSpec = 256

// A Spec is what stands behind the name of a dependency in package.json, or
// after the @ on the command line. The zero value asks for the latest version.
type Spec struct {
	Kind    Kind
	Text    string          // as written
	Alias   records.Name    // the real name when Text is "npm:REAL@...", else ""
	Version records.Version // of kind Version
	CID     cid.Cid         // of kind CID: as CIDv1
	ranges  []*semver.Constraint
}

// ParseSpec reads a version, a range, a tag, a CID or an alias as package.json
// may hold it. What npm would get from somewhere else (git, a URL, a file, a
// workspace) is a *SpecError.
func ParseSpec(s string) (Spec, error) {
	if len(s) > MaxSpec {
		return Spec{}, &SpecError{s, fmt.Sprintf("has %d bytes, the limit is %d", len(s), MaxSpec)}
	}
	text := strings.TrimSpace(s)
	if rest, ok := cutPrefixFold(text, "npm:"); ok {
		return parseAlias(s, rest)
	}
	spec, err := parsePlain(text)
	if err != nil {
		return Spec{}, err
	}
	spec.Text = s
	return spec, nil
}

func parseAlias(whole, rest string) (Spec, error) {
	name, text := cutSpec(rest)
	real, err := records.ParseName(name)
	if err != nil {
		return Spec{}, &SpecError{whole, err.Error()}
	}
	spec, err := parsePlain(strings.TrimSpace(text))
	if err != nil {
		return Spec{}, err
	}
	if spec.Kind == CID {
		return Spec{}, &SpecError{whole, "a CID needs no alias: write the CID alone"}
	}
	spec.Text, spec.Alias = whole, real
	return spec, nil
}

// parsePlain parses a spec that is not an alias and has no space around it.
func parsePlain(s string) (Spec, error) {
	if s == "" {
		return Spec{}, nil
	}
	if v, err := records.ParseVersion(trimVersion(s)); err == nil {
		return Spec{Kind: Version, Version: v}, nil
	}
	if c, ok, err := parseModuleCID(s); ok {
		return Spec{Kind: CID, CID: c}, err
	}
	if ranges, ok := parseRange(s); ok {
		return Spec{Kind: Range, ranges: ranges}, nil
	}
	if strings.ContainsAny(s, ":/\\") {
		return Spec{}, &SpecError{s, "es gets modules by name and version or by CID only, not from a URL, git or a file"}
	}
	if records.CheckTag(s) != nil {
		return Spec{}, &SpecError{s, "is not a version, range, tag or CID"}
	}
	return Spec{Kind: Tag}, nil
}

// trimVersion drops what npm allows before an exact version.
func trimVersion(s string) string {
	return strings.TrimLeft(strings.TrimSpace(strings.TrimPrefix(s, "=")), "v")
}

// parseModuleCID reports in ok whether s is a CID at all; nothing as long is a
// version or a sensible tag.
func parseModuleCID(s string) (c cid.Cid, ok bool, err error) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "ipfs://"), "/ipfs/")
	if len(s) < 46 {
		return cid.Undef, false, nil
	}
	c, err = cid.Decode(s)
	if err != nil {
		return cid.Undef, false, nil
	}
	switch c.Type() {
	case cid.DagProtobuf:
	case cid.DagCBOR:
		return cid.Undef, true, &SpecError{s, "is the CID of a record, not of a module"}
	default:
		return cid.Undef, true, &SpecError{s, "is not the CID of a directory"}
	}
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
		return cid.Undef, true, &SpecError{s, "does not use sha2-256"}
	}
	return cid.NewCidV1(cid.DagProtobuf, c.Hash()), true, nil
}

// parseRange parses each alternative by itself: npm reads an empty one as "*",
// and the library none at all.
func parseRange(s string) ([]*semver.Constraint, bool) {
	var ranges []*semver.Constraint
	for part := range strings.SplitSeq(s, "||") {
		part = strings.TrimSpace(part)
		if part == "" {
			part = "*"
		}
		if oddRange(part) {
			return nil, false
		}
		c, err := semver.NPM.ParseConstraint(part)
		if err != nil {
			return nil, false
		}
		ranges = append(ranges, c)
	}
	return ranges, true
}

// oddRange reports what the library takes and npm does not: numbers with a
// leading zero, and a pre-release after a wildcard.
func oddRange(s string) bool {
	for i := 0; i < len(s); i++ {
		start := i == 0 || strings.IndexByte(" .<>=^~v", s[i-1]) >= 0
		if s[i] == '-' && i > 0 && strings.IndexByte("*xX", s[i-1]) >= 0 {
			return true
		}
		if s[i] == '0' && start && i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9' && !strings.Contains(s[:i], "-") {
			return true
		}
	}
	return false
}

// Match reports whether v is a version that s asks for, by npm's rules for
// ranges and pre-releases. Tags and Latest match every version, and a CID none.
func (s Spec) Match(v records.Version) bool {
	switch s.Kind {
	case Version:
		return v == s.Version
	case Range:
		for _, r := range s.ranges {
			if r.Match(string(v)) {
				return true
			}
		}
		return false
	case CID:
		return false
	}
	return true
}

// String returns the text of s.
func (s Spec) String() string { return s.Text }

// A Request is one argument of `es add`.
type Request struct {
	Name records.Name
	Spec Spec
}

// ParseRequest reads NAME, NAME@VERSION, NAME@RANGE, NAME@TAG or NAME@CID, where
// NAME may have a scope.
func ParseRequest(s string) (Request, error) {
	name, text := cutSpec(s)
	n, err := records.ParseName(name)
	if err != nil {
		return Request{}, fmt.Errorf("read %q: %w", clip(s), err)
	}
	spec, err := ParseSpec(text)
	if err != nil {
		return Request{}, fmt.Errorf("read %q: %w", clip(s), err)
	}
	if spec.Alias != "" {
		return Request{}, fmt.Errorf("read %q: %w", clip(s), &SpecError{text, "es add takes no aliases"})
	}
	return Request{n, spec}, nil
}

// cutSpec splits NAME@SPEC; the @ of a scope is not the one.
func cutSpec(s string) (name, spec string) {
	if s == "" {
		return "", ""
	}
	name, spec, _ = strings.Cut(s[1:], "@")
	return s[:1] + name, spec
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// String returns the request as one would type it.
func (r Request) String() string {
	if r.Spec.Text == "" {
		return string(r.Name)
	}
	return string(r.Name) + "@" + r.Spec.Text
}

// saved returns what package.json says for a dependency on p.
func (r Request) saved(p *Package) string {
	switch r.Spec.Kind {
	case Latest, Tag:
		return "^" + string(p.Version)
	}
	return strings.TrimSpace(r.Spec.Text)
}
