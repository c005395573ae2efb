package install

import (
	"errors"

	"github.com/everythingstays/es/records"
)

// A Node is one dependency in the tree that List returns.
type Node struct {
	Name      records.Name
	Spec      string   // what is asked for
	Package   *Package // nil when es-lock.json has none that matches
	Installed bool     // es put this very module there, and something is there
	Optional  bool     // may be missing
	Repeated  bool     // its dependencies are shown where it comes first
	Children  []*Node
}

// List returns the project's dependencies with theirs below them, sorted by
// name. It reads es-lock.json and node_modules and changes nothing.
func (p *Project) List() ([]*Node, error) {
	return nil, errors.New("list: not built yet")
}
