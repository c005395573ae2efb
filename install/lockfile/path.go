package lockfile

import (
	"cmp"
	"strings"

	"github.com/everythingstays/es/records"
)

// NodeModules is the directory that node looks for packages in.
const NodeModules = "node_modules"

// Limits of a path (SPEC.md [I9]).
const (
	MaxNesting = 64   // node_modules directories
	MaxPath    = 2048 // bytes
)

// CheckPath takes node_modules/NAME, one or more times, joined by '/', and nothing
// else (SPEC.md [I8]).
func CheckPath(path string) error {
	if len(path) > MaxPath {
		return broken("I9", "has %d bytes, the limit is %d", len(path), MaxPath)
	}
	rest := path
	for depth := 0; ; depth++ {
		if depth == MaxNesting {
			return broken("I9", "has more than %d node_modules", MaxNesting)
		}
		after, ok := strings.CutPrefix(rest, NodeModules+"/")
		if !ok {
			return broken("I8", "is not a path in node_modules")
		}
		name, below, nested := strings.Cut(after, "/"+NodeModules+"/")
		if _, err := records.ParseName(name); err != nil {
			return broken("I8", "%v", err)
		}
		if !nested {
			return nil
		}
		rest = NodeModules + "/" + below
	}
}

// PathIn returns the path of the name in the node_modules of the package at parent,
// or of the project when that is "".
func PathIn(parent string, name records.Name) string {
	if parent == "" {
		return NodeModules + "/" + string(name)
	}
	return parent + "/" + NodeModules + "/" + string(name)
}

// Parent returns the path of the package that path stands in, or "".
func Parent(path string) string {
	if i := strings.LastIndex(path, "/"+NodeModules+"/"); i >= 0 {
		return path[:i]
	}
	return ""
}

// NameAt returns the name that require finds the package at path by; for an alias
// the package has another one.
func NameAt(path string) records.Name {
	return records.Name(path[strings.LastIndex(path, NodeModules+"/")+len(NodeModules)+1:])
}

// ComparePaths orders a package before those in it.
func ComparePaths(a, b string) int {
	return cmp.Or(cmp.Compare(strings.Count(a, "/"+NodeModules+"/"), strings.Count(b, "/"+NodeModules+"/")), strings.Compare(a, b))
}
