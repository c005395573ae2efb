package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// Limits of what is read of a project.
const (
	maxManifestFile = 1 << 20
	maxDirectories  = 100_000 // that are looked through for workspaces
)

// A Project is what a node_modules is made for.
type Project struct {
	Root *Manifest
	// Directories are package.json files below the project, by their directories with
	// slashes: workspaces, and what file: leads to.
	Directories map[string]*Manifest
	Workspaces  []string // which of the directories are workspaces
}

// Read reads a project's package.json and those of its directories: workspaces,
// and what file: leads to.
func Read(fsys fs.FS) (*Project, error) {
	root, err := readManifest(fsys, "")
	if err != nil {
		return nil, err
	}
	p := &Project{Root: root, Directories: make(map[string]*Manifest)}
	if p.Workspaces, err = workspaces(fsys, root.Workspaces); err != nil {
		return nil, err
	}
	queue := slices.Clone(p.Workspaces)
	for _, dir := range p.Workspaces {
		if p.Directories[dir], err = readManifest(fsys, dir); err != nil {
			return nil, err
		}
	}
	queue = append(queue, "")
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		m := p.Directories[dir]
		if dir == "" {
			m = root
		}
		for _, to := range linked(m, dir) {
			if to == "" || p.Directories[to] != nil {
				continue
			}
			if len(p.Directories) > maxDirectories {
				return nil, fmt.Errorf("more than %d directories belong to the project", maxDirectories)
			}
			if p.Directories[to], err = readManifest(fsys, to); err != nil {
				return nil, err
			}
			queue = append(queue, to)
		}
	}
	return p, nil
}

// linked are the directories that a package.json in dir names.
func linked(m *Manifest, dir string) []string {
	var dirs []string
	for _, field := range [][]Dependency{m.Dependencies, m.Dev, m.Optional, m.Peers} {
		for _, d := range field {
			if w := ParseSpec(d.Name, d.Spec, dir); w.Kind == Directory {
				dirs = append(dirs, w.Dir)
			}
		}
	}
	return dirs
}

func readManifest(fsys fs.FS, dir string) (*Manifest, error) {
	name := path.Join(dir, "package.json")
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	defer f.Close()
	b, err := readLimited(f)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	m, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return m, nil
}

func readLimited(f fs.File) ([]byte, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > maxManifestFile:
		return nil, fmt.Errorf("it has more than %d bytes", maxManifestFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxManifestFile+1))
	if err == nil && len(b) > maxManifestFile {
		err = fmt.Errorf("it has more than %d bytes", maxManifestFile)
	}
	return b, err
}

// workspaces are the directories that patterns match and that have a package.json. What
// a later pattern with "!" matches is none.
func workspaces(fsys fs.FS, patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	for _, p := range patterns {
		if strings.ContainsAny(p, "{}()") {
			return nil, fmt.Errorf("workspaces: %q has braces or brackets: write each pattern on its own", records.Clip(p))
		}
	}
	var dirs []string
	seen := 0
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if seen++; seen > maxDirectories {
			return fmt.Errorf("more than %d directories are there: narrow the patterns", maxDirectories)
		}
		switch {
		case p == ".":
			return nil
		case e.Name() == "node_modules", strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		}
		if isWorkspace(patterns, p) {
			if info, err := fs.Stat(fsys, p+"/package.json"); err == nil && info.Mode().IsRegular() {
				dirs = append(dirs, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the workspaces: %w", err)
	}
	return dirs, nil
}

// isWorkspace reports what the last pattern that matches says.
func isWorkspace(patterns []string, dir string) bool {
	is := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		p = path.Clean(strings.TrimPrefix(p, "/"))
		if matchPath(strings.Split(p, "/"), strings.Split(dir, "/")) {
			is = !negated
		}
	}
	return is
}

// matchPath matches element by element; "**" stands for any number of them. It keeps for
// each prefix of the pattern whether it matches the elements so far, so that many "**"
// cost no more than others.
func matchPath(pattern, elements []string) bool {
	at := make([]bool, len(pattern)+1)
	at[0] = true
	skip := func() {
		for i, p := range pattern {
			if p == "**" && at[i] {
				at[i+1] = true
			}
		}
	}
	skip()
	for _, e := range elements {
		next := make([]bool, len(at))
		for i, p := range pattern {
			if ok, err := path.Match(p, e); at[i] && p != "**" && err == nil && ok {
				next[i+1] = true
			}
			if p == "**" && at[i+1] {
				next[i+1] = true
			}
		}
		at = next
		skip()
	}
	return at[len(pattern)]
}
