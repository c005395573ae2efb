package manifest

import (
	"fmt"
	"path"
	"strings"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// Kind says where what a dependency names comes from.
type Kind uint8

const (
	Registry  Kind = iota // a version, a range or a tag, perhaps of another name
	Directory             // a directory of the project
	Refused               // git, URLs, tarballs, and what nobody can read
)

// A Spec is what a dependency's text means.
type Spec struct {
	Kind       Kind
	Name       string // of the package, which is another than the dependency's for an alias
	Constraint npmrange.Constraint
	Text       string // of the constraint
	Dir        string // from the project
	Err        error  // why it is refused
}

// ParseSpec reads the text of a dependency called name, in a package.json that stands in
// the directory dir of the project.
func ParseSpec(name, text, dir string) Spec {
	text = strings.TrimSpace(text)
	if alias, ok := cutPrefixFold(text, "npm:"); ok {
		target, rest := alias, ""
		if i := strings.LastIndexByte(alias, '@'); i > 0 {
			target, rest = alias[:i], alias[i+1:]
		}
		if _, again := cutPrefixFold(rest, "npm:"); again {
			return refuse(fmt.Errorf("%q is an alias of an alias", records.Clip(text)))
		}
		return parseRegistry(target, rest)
	}
	for _, scheme := range []string{"file:", "link:"} {
		if p, ok := cutPrefixFold(text, scheme); ok {
			return parseDirectory(p, dir)
		}
	}
	if strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || text == "." || text == ".." {
		return parseDirectory(text, dir)
	}
	if rest, ok := cutPrefixFold(text, "workspace:"); ok {
		return refuse(fmt.Errorf("%q is pnpm's and yarn's way to write a workspace: write %q", records.Clip(text), records.Clip(orStar(rest))))
	}
	if strings.ContainsAny(text, ":/") && !isRange(text) {
		return refuse(fmt.Errorf("%q is a git repository or a URL, whose bytes nobody can check: name a version of the package instead, or import its tarball", records.Clip(text)))
	}
	return parseRegistry(name, text)
}

func isRange(text string) bool {
	_, err := npmrange.Parse(text)
	return err == nil
}

func orStar(text string) string {
	if text == "" || text == "^" || text == "~" {
		return "*"
	}
	return text
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func refuse(err error) Spec { return Spec{Kind: Refused, Err: err} }

func parseRegistry(name, text string) Spec {
	if !records.IsDependencyName(name) {
		return refuse(fmt.Errorf("%q is no name of a package", records.Clip(name)))
	}
	c, err := npmrange.ParseConstraint(text)
	if err != nil {
		return refuse(fmt.Errorf("%q %w", records.Clip(text), err))
	}
	return Spec{Kind: Registry, Name: name, Constraint: c, Text: text}
}

// parseDirectory takes a path below the project only: what is elsewhere on the disk is
// not the project's.
func parseDirectory(p, dir string) Spec {
	if strings.HasPrefix(p, "/") || strings.HasPrefix(p, "~") || strings.ContainsAny(p, "\\\x00") {
		return refuse(fmt.Errorf("%q is not within the project: write a path that begins with ./ or ../ and ends inside it", records.Clip(p)))
	}
	to := path.Join(dir, p)
	if to == ".." || strings.HasPrefix(to, "../") {
		return refuse(fmt.Errorf("%q leads out of the project: make it a workspace, or publish it", records.Clip(p)))
	}
	for _, end := range []string{".tgz", ".tar", ".tar.gz"} {
		if strings.HasSuffix(to, end) {
			return refuse(fmt.Errorf("%q is a tarball: unpack it into a directory of the project, or publish it", records.Clip(p)))
		}
	}
	return Spec{Kind: Directory, Dir: strings.TrimPrefix(to, ".")}
}
