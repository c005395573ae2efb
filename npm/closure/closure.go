// Package closure finds which releases of a registry a request needs: what it names,
// and what that depends on, by the packuments (SPEC.md section 17). The answer is a set
// to import and nobody's word for more: where each release stands in node_modules is
// found later, from the manifests of the tarballs.
package closure

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// Limits of a closure.
const (
	MaxReleases = 100_000
	requests    = 64 // packuments at a time
)

// Packuments gives what a registry says of a package.
type Packuments interface {
	Packument(ctx context.Context, name string) (*registry.Packument, error)
}

// A Request asks for a package, as "NAME@SPEC" in a package.json or on a command line.
type Request struct {
	Name string
	Spec string // a range, a tag, or npm:NAME@RANGE; empty for the latest
}

func (r Request) String() string {
	if r.Spec == "" {
		return r.Name
	}
	return r.Name + "@" + r.Spec
}

// Options say how far a closure goes.
type Options struct {
	Alone       bool // without dependencies
	AllVersions bool // of what is asked for itself
	// Runs reports whether a release is for a platform; optional dependencies that are
	// not are left out. nil takes all.
	Runs func(os, cpu, libc []string) bool
}

// A Release is one version that is needed.
type Release struct {
	Name    string
	Version records.Version
	Info    *registry.Version
	// Published is when the registry says that it was; zero where it was not asked.
	Published time.Time
}

func (r *Release) String() string { return r.Name + "@" + string(r.Version) }

// A Failure is something that could not be found.
type Failure struct {
	Request  Request
	By       string // what depends on it; empty for what was asked for
	Optional bool
	Err      error
}

func (f *Failure) Error() string {
	if f.By == "" {
		return fmt.Sprintf("find %s: %v", f.Request, f.Err)
	}
	return fmt.Sprintf("find %s, which %s needs: %v", f.Request, f.By, f.Err)
}

// Find returns the releases that requests need, sorted by name and version, and what
// could not be found. The error is ctx's.
func Find(ctx context.Context, from Packuments, requests []Request, o Options) ([]Release, []Failure, error) {
	f := &finder{from: from, options: o, releases: make(map[string]Release), asked: make(map[string]bool), packuments: make(map[string]*packument)}
	next := make([]edge, len(requests))
	for i, r := range requests {
		next[i] = edge{request: r}
	}
	for len(next) > 0 {
		var err error
		if next, err = f.round(ctx, next); err != nil {
			return nil, nil, err
		}
	}
	releases := make([]Release, 0, len(f.releases))
	for _, r := range f.releases {
		releases = append(releases, r)
	}
	slices.SortFunc(releases, func(x, y Release) int {
		if c := strings.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		return x.Version.Compare(y.Version)
	})
	return releases, f.failures, nil
}

// An edge is a request and who makes it.
type edge struct {
	request  Request
	by       string
	optional bool
}

type finder struct {
	from    Packuments
	options Options

	mu         sync.Mutex
	packuments map[string]*packument
	releases   map[string]Release
	asked      map[string]bool // requests that were followed
	failures   []Failure
}

// A packument is asked for once, whoever waits for it.
type packument struct {
	once sync.Once
	p    *registry.Packument
	err  error
}

// round follows edges and returns those of the releases it found first.
func (f *finder) round(ctx context.Context, edges []edge) ([]edge, error) {
	found := make([][]edge, len(edges))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for i, e := range edges {
		g.Go(func() error {
			var err error
			found[i], err = f.follow(gctx, e)
			if err != nil && gctx.Err() == nil {
				f.mu.Lock()
				f.failures = append(f.failures, Failure{e.request, e.by, e.optional, err})
				f.mu.Unlock()
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(f.failures, func(x, y Failure) int { return strings.Compare(x.Error(), y.Error()) })
	return f.fresh(slices.Concat(found...)), nil
}

// fresh drops the edges that were followed already, by whoever.
func (f *finder) fresh(edges []edge) []edge {
	return slices.DeleteFunc(edges, func(e edge) bool {
		key := fmt.Sprintf("%s %t", e.request, e.optional)
		if f.asked[key] {
			return true
		}
		f.asked[key] = true
		return false
	})
}

// follow finds the release that an edge leads to, and returns its own edges unless
// they were returned before.
func (f *finder) follow(ctx context.Context, e edge) ([]edge, error) {
	name, constraint, err := target(e.request)
	if err != nil {
		return nil, err
	}
	p, err := f.packument(ctx, name)
	if err != nil {
		return nil, err
	}
	if f.options.AllVersions && e.by == "" {
		return f.all(p)
	}
	info, version, err := pick(p, constraint)
	if err != nil {
		return nil, err
	}
	return f.add(Release{name, version, info, p.Times[info.Version]}, e)
}

// target is the package and the constraint that a request means.
func target(r Request) (string, npmrange.Constraint, error) {
	name, spec := r.Name, r.Spec
	if alias, ok := strings.CutPrefix(spec, "npm:"); ok {
		name, spec = alias, ""
		if i := strings.LastIndexByte(alias, '@'); i > 0 {
			name, spec = alias[:i], alias[i+1:]
		}
	}
	if !records.IsDependencyName(name) {
		return "", npmrange.Constraint{}, fmt.Errorf("%q is no name of a package", name)
	}
	if isElsewhere(spec) {
		return "", npmrange.Constraint{}, fmt.Errorf("%q is not a version of a registry: npm makes such a package itself", spec)
	}
	c, err := npmrange.ParseConstraint(spec)
	return name, c, err
}

// isElsewhere tells git repositories, URLs, files and workspaces from ranges and tags.
func isElsewhere(spec string) bool {
	return strings.ContainsAny(spec, ":/")
}

func (f *finder) packument(ctx context.Context, name string) (*registry.Packument, error) {
	f.mu.Lock()
	p := f.packuments[name]
	if p == nil {
		p = &packument{}
		f.packuments[name] = p
	}
	f.mu.Unlock()
	p.once.Do(func() { p.p, p.err = f.from.Packument(ctx, name) })
	return p.p, p.err
}

// all adds every version of a package.
func (f *finder) all(p *registry.Packument) ([]edge, error) {
	var edges []edge
	for i := range p.Versions {
		v, err := records.ParseVersion(p.Versions[i].Version)
		if err != nil {
			continue // older than npm's rules for versions
		}
		more, err := f.add(Release{p.Name, v, &p.Versions[i], p.Times[p.Versions[i].Version]}, edge{})
		if err != nil {
			return nil, err
		}
		edges = append(edges, more...)
	}
	return edges, nil
}

func (f *finder) add(r Release, e edge) ([]edge, error) {
	h := r.Info.Hints()
	if e.optional && f.options.Runs != nil && !f.options.Runs(h.OS, h.CPU, h.Libc) {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.releases[r.String()]; known {
		return nil, nil
	}
	if len(f.releases) == MaxReleases {
		return nil, fmt.Errorf("more than %d releases are needed", MaxReleases)
	}
	f.releases[r.String()] = r
	if f.options.Alone {
		return nil, nil
	}
	return edgesOf(&r, &h), nil
}

// edgesOf are the dependencies that npm 7 and later install: peers too, unless they are
// optional.
func edgesOf(r *Release, h *registry.Hints) []edge {
	var edges []edge
	add := func(name, spec string, optional bool) {
		edges = append(edges, edge{Request{name, spec}, r.String(), optional})
	}
	for name, spec := range h.Dependencies {
		if _, optional := h.Optional[name]; !optional {
			add(name, spec, false)
		}
	}
	for name, spec := range h.Optional {
		add(name, spec, true)
	}
	for name, spec := range h.Peers {
		if !h.OptionalPeers[name] {
			add(name, spec, false)
		}
	}
	return edges
}
