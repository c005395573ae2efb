package records

import (
	"regexp"

	"github.com/ipld/go-ipld-prime/datamodel"
)

// Tag points a word such as "latest" at a version; the author's newest wins.
// Without Version it removes the word.
type Tag struct {
	Name    Name
	Tag     string
	Version Version // may be ""
}

// Kind returns "tag".
func (*Tag) Kind() string { return "tag" }

func (t *Tag) encode(m datamodel.MapAssembler) {
	putString(m, "name", string(t.Name))
	putString(m, "tag", t.Tag)
	putOptional(m, "version", string(t.Version))
}

func readTag(m *mapReader) Body {
	return &Tag{
		Name:    Name(m.string("name", true)),
		Tag:     m.string("tag", true),
		Version: Version(m.string("version", false)),
	}
}

func (t *Tag) check(path string, _ *Record) error {
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
			return against("R27", "tag %q: only letters, digits, '.', '_' and '-' are allowed", Clip(s))
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
