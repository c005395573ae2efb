package modules

import (
	"fmt"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// MaxPackageJSON is the most bytes that a package.json may have.
const MaxPackageJSON = npmjson.MaxBytes

// Module is a packed package: all of a release that its files decide.
type Module struct {
	Name     records.Name
	Version  records.Version
	Manifest records.Manifest
	CID      cid.Cid // root of the UnixFS directory
	Size     int64   // bytes of all files
	Files    int64
	Pins     map[records.Name]cid.Cid
}

// Release returns what a release of the packed module says.
func (m *Module) Release() *records.Release {
	return &records.Release{Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins}
}

func ruleErrorf(rule, path, format string, args ...any) error {
	return &unixfs.RuleError{Rule: rule, Path: path, Reason: fmt.Sprintf(format, args...)}
}
