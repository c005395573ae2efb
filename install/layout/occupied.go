package layout

import (
	"fmt"
	"path/filepath"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// CheckExisting refuses to replace what es did not install, unless it is the same package
// and the project claims it for es; and what another package manager's lockfile names in
// any case ([I24], [I134]). Errors are *ExistsError.
func (c *Change) CheckExisting(pending []*tree.Node, claims func(*tree.Node) bool) error {
	if c.Force {
		return nil
	}
	replaced := map[*tree.Node]bool{}
	for _, n := range pending {
		replaced[n] = true
		if replaced[n.Parent] {
			continue // what is there goes with what it stands in
		}
		at := n.Package.Path
		info, err := c.dir.lstat(at)
		if err != nil {
			return err
		}
		if info == nil {
			continue
		}
		by, ours := c.managers.Lock(at), c.note.ours(c.dir, at)
		if by == "" && !ours {
			by = c.managers.Claim(at)
		}
		if by != "" {
			return &ExistsError{Path: at, Reason: fmt.Sprintf("%s is there, and %s asks for it", c.dir.packageText(at), by), By: by}
		}
		if ours {
			continue
		}
		if !info.IsDir() {
			return &ExistsError{Path: at, Reason: "something that es did not put there is no directory"}
		}
		if name := c.dir.packageName(at); name != string(lockfile.NameAt(at)) && name != string(n.Package.Name) {
			return &ExistsError{Path: at, Reason: fmt.Sprintf("the package %q is there, which es did not install", records.Clip(name))}
		}
		if !claims(n) {
			return &ExistsError{Path: at, Reason: "a package is there that es did not install"}
		}
	}
	return nil
}

// packageName returns the name in the package.json of the directory at, or "".
func (d *Dir) packageName(at string) string {
	name, _ := d.packageSays(at)
	return name
}

// packageText names the package in the directory at.
func (d *Dir) packageText(at string) string {
	name, version := d.packageSays(at)
	switch {
	case name == "":
		return "something else"
	case version == "":
		return fmt.Sprintf("%q", records.Clip(name))
	}
	return fmt.Sprintf("%q", records.Clip(name+"@"+version))
}

// packageSays returns the name and the version in the package.json of the directory at.
func (d *Dir) packageSays(at string) (name, version string) {
	text, err := regularfile.ReadIn(d.root, filepath.Join(filepath.FromSlash(at), packagejson.Name), packagejson.MaxSize)
	if err != nil {
		return "", ""
	}
	_, text = regularfile.CutBOM(text)
	object, err := jsonfile.Parse(packagejson.Name, "I24", text)
	if err != nil {
		return "", ""
	}
	for field, to := range map[string]*string{"name": &name, "version": &version} {
		if i := object.Find(field); i >= 0 && object.Members[i].Text != nil {
			*to = *object.Members[i].Text
		}
	}
	return name, version
}
