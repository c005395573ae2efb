package install

import (
	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/managers"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/jsonfile"
)

// What a Project takes and returns, for those who import this package alone.
type (
	Package    = lockfile.Package
	Spec       = packagejson.Spec
	Request    = packagejson.Request
	Resolution = tree.Resolution
	Resolver   = tree.Resolver
	Skipped    = tree.Skipped
	Platform   = tree.Platform
	Warning    = layout.Warning
	Damage     = layout.Damage

	SyntaxError     = jsonfile.SyntaxError
	DependencyError = tree.DependencyError
	IntegrityError  = tree.IntegrityError
	BoundError      = tree.BoundError
	ExistsError     = layout.ExistsError
)

// Hook is the script of package.json by which npm has es put back what it removed.
const Hook = managers.Hook

// ParseRequest reads one argument of es add.
func ParseRequest(s string) (Request, error) { return packagejson.ParseRequest(s) }
