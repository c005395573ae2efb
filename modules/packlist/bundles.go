package packlist

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules/internal/npmjson"
)

// A packNode is a package on disk: the one that is packed, or one in its
// node_modules.
type packNode struct {
	path     string // where it was found
	realPath string // the same, unless path is a symbolic link
	isRoot   bool
	within   string // where in the root's package it is: "", or a path and a slash

	json    *npmjson.Object
	jsonErr error
	read    bool
}

func (n *packNode) isLink() bool { return n.path != n.realPath }

// packageJSON reads the node's package.json, once. npm is laxer than
// ParsePackageJSON here; what is missing reads as empty.
func (n *packNode) packageJSON() (*npmjson.Object, error) {
	if n.read {
		return n.json, n.jsonErr
	}
	n.read = true
	data, err := regularfile.Read(n.realPath+"/"+npmjson.FileName, npmjson.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		n.jsonErr = err
		return nil, err
	}
	if n.json, err = npmjson.Parse(data); err != nil {
		n.jsonErr = ruleErrorf("M40", n.within+npmjson.FileName, "%v", err)
	}
	return n.json, n.jsonErr
}

// hasWorkspaces reports whether package.json names workspaces that exist.
func (n *packNode) hasWorkspaces() bool {
	if !n.isRoot {
		return false
	}
	pkg, _ := n.packageJSON()
	var patterns []string
	switch v := pkg.Get("workspaces").(type) {
	case []any:
		patterns = npmjson.Strings(v)
	case *npmjson.Object:
		list, _ := v.Get("packages").([]any)
		patterns = npmjson.Strings(list)
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			continue
		}
		found, _ := filepath.Glob(filepath.Join(n.realPath, strings.ReplaceAll(p, "**", "*"), npmjson.FileName))
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// npmBins returns the paths of the programs in "bin" or "directories.bin", as
// npm makes them safe: nothing leads out of dir.
func npmBins(pkg *npmjson.Object, dir string) []string {
	var programs []string
	switch v := pkg.Get("bin").(type) {
	case nil, bool:
		return npmBinDirectory(pkg, dir)
	case string:
		if v == "" {
			return npmBinDirectory(pkg, dir)
		}
		if pkg.Text("name") != "" {
			programs = []string{v}
		}
	case []any:
		programs = npmjson.Strings(v)
	case *npmjson.Object:
		for _, command := range v.Keys() {
			if program, ok := v.Get(command).(string); ok && path.Base(npmjson.SecurePath(command)) != "." {
				programs = append(programs, program)
			}
		}
	}
	var secured []string
	for _, p := range programs {
		if p = npmjson.SecurePath(p); p != "" {
			secured = append(secured, p)
		}
	}
	return secured
}

func npmBinDirectory(pkg *npmjson.Object, dir string) []string {
	sub := pkg.Object("directories").Text("bin")
	if sub == "" {
		return nil
	}
	sub = npmjson.SecurePath(sub)
	last := make(map[string]string)
	root := dir + "/" + sub
	// What cannot be read has no programs.
	_ = fs.WalkDir(os.DirFS(root), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return nil
		}
		if strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if old, ok := last[e.Name()]; !ok || npmjson.IsLaterBin(old, sub+"/"+p) {
			last[e.Name()] = sub + "/" + p
		}
		return nil
	})
	programs := make([]string, 0, len(last))
	for _, p := range last {
		programs = append(programs, p)
	}
	slices.Sort(programs)
	return programs
}

// gatherBundles adds the files of the packages that w's package bundles.
func (w *packWalker) gatherBundles() error {
	if w.collector.gathered[w.node.realPath] {
		return nil
	}
	w.collector.gathered[w.node.realPath] = true
	pkg, err := w.node.packageJSON()
	if err != nil {
		return err
	}
	for _, name := range bundleNames(pkg, w.node) {
		node := w.collector.resolve(w.node, name)
		if node == nil {
			continue
		}
		if !strings.HasPrefix(node.path, w.collector.root+"/") {
			w.collector.warn("node_modules/"+name, "is bundled but outside the package, and is left out")
			continue
		}
		if err := w.collector.bundle(node); err != nil {
			return err
		}
	}
	return nil
}

func (l *collector) bundle(node *packNode) error {
	w := &packWalker{collector: l, node: node, path: node.path, base: node.path, isPackage: true,
		ignoreFiles: []string{npmjson.FileName, strictRules}}
	if node.isLink() {
		w.ignoreFiles = []string{defaultRules, npmjson.FileName, ".npmignore", ".gitignore", strictRules}
	}
	return w.start()
}

// bundleNames returns what a package bundles: the root what it lists, and a
// bundled one all that it needs.
func bundleNames(pkg *npmjson.Object, node *packNode) []string {
	deps, optional := pkg.Object("dependencies"), pkg.Object("optionalDependencies")
	names := append(slices.Clone(deps.Keys()), optional.Keys()...)
	if !node.isRoot && !node.isLink() {
		return names
	}
	// Only at the top of a tree do devDependencies count, and there they win.
	dev := pkg.Object("devDependencies")
	listed := names
	if node.isRoot {
		all := make(map[string]string)
		for _, n := range deps.Keys() {
			all[n] = ""
		}
		listed = npmjson.BundledNames(pkg, all)
	}
	var kept []string
	for _, name := range listed {
		if slices.Contains(names, name) && !dev.Has(name) {
			kept = append(kept, name)
		}
	}
	return kept
}

// resolve finds the package that name means in node, as node does: in its
// node_modules or in one above, but never above the root.
func (l *collector) resolve(node *packNode, name string) *packNode {
	for dir := node.realPath; ; dir = path.Dir(dir) {
		if path.Base(dir) != "node_modules" {
			if found := findPackage(dir + "/node_modules/" + name); found != nil {
				found.within = l.relative(found.path) + "/"
				return found
			}
		}
		if dir == l.root || dir == "/" || dir == "." || !strings.HasPrefix(dir, l.root+"/") {
			return nil
		}
	}
}

func findPackage(p string) *packNode {
	info, err := os.Lstat(p)
	if err != nil {
		return nil
	}
	if info.IsDir() {
		return &packNode{path: p, realPath: p}
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return nil
	}
	target, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil
	}
	if info, err := os.Stat(target); err != nil || !info.IsDir() {
		return nil
	}
	return &packNode{path: p, realPath: target}
}
