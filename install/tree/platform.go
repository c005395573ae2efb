package tree

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records/npmrange"
)

// Platform names a machine as node does.
type Platform struct {
	OS   string // process.platform: linux, darwin, win32, ...
	CPU  string // process.arch: x64, arm64, ...
	Libc string // glibc or musl, on linux
	Node string // node's version without the v
}

// OrThis replaces the zero fields of p by this machine's.
func (p Platform) OrThis() Platform {
	if p.OS == "" {
		p.OS = nodeOS(runtime.GOOS)
	}
	if p.CPU == "" {
		p.CPU = nodeCPU(runtime.GOARCH)
	}
	if p.Libc == "" && p.OS == "linux" {
		p.Libc = "glibc"
		if musl, _ := filepath.Glob("/lib/ld-musl-*"); len(musl) > 0 {
			p.Libc = "musl"
		}
	}
	return p
}

func nodeOS(goos string) string {
	switch goos {
	case "windows":
		return "win32"
	case "solaris", "illumos":
		return "sunos"
	}
	return goos
}

func nodeCPU(goarch string) string {
	switch goarch {
	case "amd64":
		return "x64"
	case "386":
		return "ia32"
	case "ppc64le":
		return "ppc64"
	case "mipsle":
		return "mipsel"
	}
	return goarch
}

// Runs reports whether a package with these lists is for this platform.
func (p Platform) Runs(os, cpu, libc []string) bool {
	return listed(p.OS, os) && listed(p.CPU, cpu) && (len(libc) == 0 || p.Libc != "" && listed(p.Libc, libc))
}

// Refuses says why pkg is not for this platform, or "".
func (p Platform) Refuses(pkg *lockfile.Package) string {
	switch {
	case !listed(p.OS, pkg.OS):
		return "is for " + strings.Join(pkg.OS, ", ") + ", not for " + p.OS
	case !listed(p.CPU, pkg.CPU):
		return "is for " + strings.Join(pkg.CPU, ", ") + ", not for " + p.CPU
	case len(pkg.Libc) > 0 && (p.Libc == "" || !listed(p.Libc, pkg.Libc)):
		return "is for " + strings.Join(pkg.Libc, ", ") + ", which is not here"
	}
	return ""
}

// listed follows npm: no "!value", and value itself unless all are negated.
func listed(value string, list []string) bool {
	if len(list) == 0 || len(list) == 1 && list[0] == "any" {
		return true
	}
	negated, match := 0, false
	for _, entry := range list {
		if not, ok := strings.CutPrefix(entry, "!"); ok {
			negated++
			if not == value {
				return false
			}
		} else if entry == value {
			match = true
		}
	}
	return match || negated == len(list)
}

// RefusesNode says why node's version is not one that pkg asks for, or "". As npm does
// it, pre-releases of node are in a range like other versions.
func (p Platform) RefusesNode(pkg *lockfile.Package) string {
	want := pkg.Engines["node"]
	if p.Node == "" || want == "" {
		return ""
	}
	v, err := npmrange.ParseVersion(p.Node)
	if err != nil {
		return ""
	}
	if r, err := npmrange.ParsePrerelease(want); err == nil && r.Match(v) {
		return ""
	}
	return "asks for node " + want + ", and this is " + p.Node
}

// Foreign reports whether n is an optional package for other platforms.
func (p Platform) Foreign(n *Node) bool { return n.Package.Optional && p.Refuses(n.Package) != "" }

// Wanted returns the packages to have in node_modules on a platform, by path. Those that
// failed, and optional ones for other platforms, are left out with all that only they
// need ([I18]).
func Wanted(root *Node, p Platform, failed func(*Node) bool) []*Node {
	available := func(n *Node) bool { return !failed(n) && !p.Foreign(n) }
	reached := root.Reach(func(_ *Edge, to *Node) bool {
		return available(to) && (to.Target == nil || available(to.Target))
	})
	var nodes []*Node
	for n := range reached {
		if n.Package != nil {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return lockfile.ComparePaths(a.Package.Path, b.Package.Path) })
	return nodes
}
