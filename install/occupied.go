package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/jsontext"
	"github.com/everythingstays/es/internal/regularfile"
)

// adopt notes as es's what es-lock.json has had before and what stands in its place to the
// byte, where the note is lost or another home's. What another package manager names stays
// that one's.
func (j *job) adopt(ctx context.Context) error {
	if j.locked == nil {
		return nil
	}
	root, _ := tree.FromLockfile(j.locked, slices.Clone(j.edges))
	var nodes []*tree.Node
	root.Walk(func(n *tree.Node) {
		if n.Package != nil {
			nodes = append(nodes, n)
		}
	})
	v := newVerifier(j.disk, j.modules.sources, nodes)
	for _, n := range nodes {
		at := n.Package.Path
		if _, noted := j.marker.Modules[at]; noted || j.others.names(at) != "" {
			continue
		}
		same, err := v.stands(ctx, n)
		if err != nil {
			return err
		}
		if same {
			j.marker.Modules[at] = j.placed(n)
			j.adopted = true
		}
	}
	for at, b := range v.commands {
		if _, noted := j.marker.Modules[b.owner.Path]; noted && j.marker.Bins[at] == "" && j.disk.isBin(b, at) {
			j.marker.Bins[at] = b.owner.Path
			j.adopted = true
		}
	}
	return nil
}

// placed is what the note says of n, which stands in its place.
func (j *job) placed(n *tree.Node) placed {
	p := placed{Module: n.Package.Module.String(), Link: n.Package.Link}
	if n.Target == nil {
		p.Fingerprint = j.disk.fingerprint(n.Package.Path)
	}
	return p
}

// stale returns the nodes whose package is not in node_modules as it should be.
// What stands in a package that is replaced goes with it. What another program has put
// there and is the very module is taken as it is.
func (j *job) stale(ctx context.Context, nodes []*tree.Node) ([]*tree.Node, error) {
	var stale []*tree.Node
	replaced := map[*tree.Node]bool{}
	v := newVerifier(j.disk, j.modules.sources, nodes)
	for _, n := range nodes {
		there := !j.options.Force && !replaced[n.Parent]
		if there && !j.marker.holds(j.disk, n.Package) {
			var err error
			if there, err = j.takes(ctx, v, n); err != nil {
				return nil, err
			}
		}
		if !there {
			replaced[n] = true
			stale = append(stale, n)
		}
	}
	return stale, nil
}

// takes reports whether exactly n's module is there without es's having put it there.
func (j *job) takes(ctx context.Context, v *verifier, n *tree.Node) (bool, error) {
	if _, ours := j.marker.Modules[n.Package.Path]; ours && j.marker.ours(j.disk, n.Package.Path) {
		return false, nil // another module of es's, or one that a crash has left
	}
	if same, known := j.taken[n]; known {
		return same, nil
	}
	same, err := v.stands(ctx, n)
	j.taken[n] = same
	return same, err
}

// checkOccupied refuses to replace what es did not install, unless it is the
// same package and the project says that es installs it; and what another package
// manager's lockfile names in any case.
func (j *job) checkOccupied(stale []*tree.Node) error {
	if j.options.Force {
		return nil
	}
	replaced := map[*tree.Node]bool{}
	for _, n := range stale {
		replaced[n] = true
		if replaced[n.Parent] {
			continue // what is there goes with what it stands in
		}
		at := n.Package.Path
		info, err := j.disk.lstat(at)
		if err != nil {
			return err
		}
		if info == nil {
			continue
		}
		by, ours := j.others.locks(at), j.marker.ours(j.disk, at)
		if by == "" && !ours {
			by = j.others.names(at)
		}
		if by != "" {
			return &OccupiedError{Path: at, Reason: fmt.Sprintf("%s is there, and %s asks for it", j.disk.packageText(at), by), By: by}
		}
		if ours {
			continue
		}
		if !info.IsDir() {
			return &OccupiedError{Path: at, Reason: "something that es did not put there is no directory"}
		}
		if name := j.disk.packageName(at); name != string(lockfile.NameAt(at)) && name != string(n.Package.Name) {
			return &OccupiedError{Path: at, Reason: fmt.Sprintf("the package %q is there, which es did not install", clip(name))}
		}
		if !j.claimed(n) {
			return &OccupiedError{Path: at, Reason: "a package is there that es did not install"}
		}
	}
	return nil
}

// claimed reports whether the project says that es installs n's path: in
// es-lock.json, in package.json or on the command line.
func (j *job) claimed(n *tree.Node) bool {
	if j.locked != nil && j.locked.Packages[n.Package.Path] != nil {
		return true
	}
	return n.Parent.Package == nil && slices.ContainsFunc(j.edges, func(e tree.Edge) bool { return e.Name == lockfile.NameAt(n.Package.Path) })
}

// packageName returns the name in the package.json of the directory at, or "".
func (d *disk) packageName(at string) string {
	name, _ := d.packageSays(at)
	return name
}

// packageText names the package in the directory at.
func (d *disk) packageText(at string) string {
	name, version := d.packageSays(at)
	switch {
	case name == "":
		return "something else"
	case version == "":
		return fmt.Sprintf("%q", clip(name))
	}
	return fmt.Sprintf("%q", clip(name+"@"+version))
}

// packageSays returns the name and the version in the package.json of the directory at.
func (d *disk) packageSays(at string) (name, version string) {
	text, err := regularfile.ReadIn(d.root, filepath.Join(filepath.FromSlash(at), packagejson.Name), packagejson.MaxSize)
	if err != nil {
		return "", ""
	}
	_, text = regularfile.CutBOM(text)
	object, err := jsontext.Parse(packagejson.Name, text)
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

// removeExtra removes commands first, then packages.
func (j *job) removeExtra(extra []string, bins []bin) error {
	keep := map[string]bool{}
	for _, b := range bins {
		keep[b.at] = true
	}
	for at, owner := range j.marker.Bins {
		if keep[at] {
			continue
		}
		if err := j.disk.unlinkBin(at, owner); err != nil {
			return fmt.Errorf("remove %s: %w", at, err)
		}
		delete(j.marker.Bins, at)
		j.disk.tidy(at)
	}
	for _, path := range extra {
		info, err := j.disk.lstat(path)
		if errors.As(err, new(*OccupiedError)) {
			continue // it was in a package that is a link now
		}
		if err == nil && info == nil {
			j.disk.tidy(path) // a crash may have left the directory for it
			continue
		}
		if by := j.others.names(path); by != "" {
			j.result.Warnings = append(j.result.Warnings, Warning{path, "is left where it is: " + by + " asks for it too"})
			continue
		}
		if !j.marker.ours(j.disk, path) {
			j.result.Warnings = append(j.result.Warnings, Warning{path, "is not removed: something else than es has replaced it"})
			continue
		}
		if err := j.disk.takeOut(path); err != nil {
			return err
		}
		j.disk.tidy(path)
	}
	return nil
}
