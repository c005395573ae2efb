package packagejson

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
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
const MaxSpec = records.MaxLongText

// A Spec is what stands behind the name of a dependency in package.json, or
// after the @ on the command line. The zero value asks for the latest version.
type Spec struct {
	Kind  Kind
	Text  string       // as written
	Alias records.Name // the real name when Text is "npm:REAL@...", else ""
	CID   cid.Cid      // of kind CID: as CIDv1

	plain string // Text without the alias
	want  npmrange.Constraint
}

// Constraint returns what is asked for of the real name: Text, without the alias.
func (s Spec) Constraint() string { return s.plain }

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
	if c, ok, err := parseModuleCID(s); ok {
		return Spec{Kind: CID, CID: c}, err
	}
	want, err := npmrange.ParseConstraint(s)
	switch {
	case err != nil && strings.ContainsAny(s, ":/\\"):
		return Spec{}, &SpecError{s, "es gets modules by name and version or by CID only, not from a URL, git or a file"}
	case err != nil:
		return Spec{}, &SpecError{s, "is not a version, range, tag or CID"}
	}
	spec := Spec{Kind: kinds[want.Kind], plain: s, want: want}
	if s == "*" {
		spec.Kind = Range // to be saved as it was typed
	}
	return spec, nil
}

var kinds = map[npmrange.Kind]Kind{npmrange.Latest: Latest, npmrange.Version: Version, npmrange.InRange: Range, npmrange.Tag: Tag}

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

// Match reports whether v is a version that s asks for, by npm's rules for
// ranges and pre-releases. Tags, Latest and "*" match every version, and a CID none.
func (s Spec) Match(v records.Version) bool { return s.Kind != CID && s.want.Match(v) }

// String returns the text of s.
func (s Spec) String() string { return s.Text }

// A Request is one argument of `es add`: Name is where it will stand.
type Request struct {
	Name records.Name
	Spec Spec
}

// ParseRequest reads NAME, NAME@VERSION, NAME@RANGE, NAME@TAG, NAME@CID or
// NAME@npm:REAL@..., where NAME and REAL may have a scope.
func ParseRequest(s string) (Request, error) {
	name, text := cutSpec(s)
	n, err := records.ParseName(name)
	if err != nil {
		return Request{}, fmt.Errorf("read %q: %w", records.Clip(s), err)
	}
	spec, err := ParseSpec(text)
	if err != nil {
		return Request{}, fmt.Errorf("read %q: %w", records.Clip(s), err)
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

// Real returns the name of the package that is asked for.
func (r Request) Real() records.Name { return cmp.Or(r.Spec.Alias, r.Name) }

// String returns the request as one would type it.
func (r Request) String() string {
	if r.Spec.Text == "" {
		return string(r.Name)
	}
	return string(r.Name) + "@" + r.Spec.Text
}

// Saved returns what package.json says for r when version v was found ([I3], [I121]).
func (r Request) Saved(v records.Version) string {
	switch r.Spec.Kind {
	case Latest, Tag:
		if r.Spec.Alias != "" {
			return "npm:" + string(r.Spec.Alias) + "@^" + string(v)
		}
		return "^" + string(v)
	}
	return strings.TrimSpace(r.Spec.Text)
}

// A SpecError says that a dependency asks for something that es cannot get.
type SpecError struct {
	Spec   string
	Reason string
}

func (e *SpecError) Error() string { return fmt.Sprintf("%q: %s", records.Clip(e.Spec), e.Reason) }
