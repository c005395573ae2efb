package modules

import (
	"errors"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// PackageJSON is a checked package.json.
type PackageJSON struct {
	Name    records.Name
	Version records.Version
	Pins    map[records.Name]cid.Cid // the CIDs among its esDependencies
}

// ParsePackageJSON reads a package.json of at most MaxPackageJSON bytes. Its
// name and version must be ones that package records takes. Anything wrong with
// it is a *RuleError.
func ParsePackageJSON(b []byte) (*PackageJSON, error) {
	return nil, errors.New("parse package.json: not built yet")
}

// Manifest derives what a release says about a module with this package.json
// and the files at paths. It depends on nothing else, so that whoever has the
// module derives the same.
func (p *PackageJSON) Manifest(paths []string) (records.Manifest, error) {
	return records.Manifest{}, errors.New("derive manifest: not built yet")
}
