package idealtree

import (
	"context"
	"fmt"
	"slices"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// A Source has the releases that may be installed: a registry's, or those that trust
// lets through. It answers the same for as long as a tree is made. What it does not have
// it answers with an error.
type Source interface {
	Versions(ctx context.Context, name string) (*Versions, error)
	Manifest(ctx context.Context, name string, v records.Version) (*manifest.Manifest, error)
}

// Versions are the releases of a package, in any order.
type Versions struct {
	All  []records.Version
	Tags map[string]records.Version
}

// A release is one version and what it says.
type release struct {
	name     string
	manifest *manifest.Manifest
}

// known is what was read of a package.
type known struct {
	name      string
	versions  []records.Version // the highest first
	tags      map[string]records.Version
	manifests map[records.Version]*manifest.Manifest
	err       error
}

func (t *resolver) known(ctx context.Context, name string) (*known, error) {
	if k := t.packages[name]; k != nil {
		return k, k.err
	}
	if len(t.packages) == MaxPackages {
		return nil, &LimitError{"packages are asked for", MaxPackages}
	}
	k := &known{name: name, manifests: make(map[records.Version]*manifest.Manifest)}
	t.packages[name] = k
	v, err := t.source.Versions(ctx, name)
	if err != nil {
		k.err = err
		return k, err
	}
	if len(v.All) > MaxVersions {
		k.err = &LimitError{fmt.Sprintf("versions of %q are read", name), MaxVersions}
		return k, k.err
	}
	k.versions, k.tags = slices.Clone(v.All), v.Tags
	slices.SortFunc(k.versions, func(a, b records.Version) int { return b.Compare(a) })
	return k, nil
}

func (t *resolver) manifest(ctx context.Context, k *known, v records.Version) (*manifest.Manifest, error) {
	if m := k.manifests[v]; m != nil {
		return m, nil
	}
	if t.read == MaxManifests {
		return nil, &LimitError{"manifests are read", MaxManifests}
	}
	t.read++
	m, err := t.source.Manifest(ctx, k.name, v)
	if err != nil {
		return nil, err
	}
	// What it is called is the source's to say, not the package's.
	own := *m
	own.Name, own.Version = k.name, v
	k.manifests[v] = &own
	return &own, nil
}

// pick chooses a release as npm does: what a tag says, or of the versions in a range
// that which "latest" names, else the highest; but one that is not deprecated and runs
// with this node and npm before one that is or does not.
func (t *resolver) pick(ctx context.Context, w manifest.Spec) (release, error) {
	key := pickKey{w.Name, w.Constraint.Kind, w.Constraint.Tag, w.Constraint.Version, w.Text}
	if p, ok := t.picked[key]; ok {
		return p.release, p.err
	}
	m, err := t.choose(ctx, w)
	p := picked{release{w.Name, m}, err}
	t.picked[key] = p
	return p.release, p.err
}

type pickKey struct {
	name    string
	kind    npmrange.Kind
	tag     string
	version records.Version
	text    string
}

type picked struct {
	release release
	err     error
}

func (t *resolver) choose(ctx context.Context, w manifest.Spec) (*manifest.Manifest, error) {
	k, err := t.known(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	switch c := w.Constraint; c.Kind {
	case npmrange.Tag:
		v, ok := k.tags[c.Tag]
		if !ok || !slices.Contains(k.versions, v) {
			return nil, fmt.Errorf("there is no release of %q with the tag %q", w.Name, c.Tag)
		}
		return t.manifest(ctx, k, v)
	case npmrange.Version:
		if !slices.Contains(k.versions, c.Version) {
			return nil, fmt.Errorf("there is no release %s of %q", c.Version, w.Name)
		}
		return t.manifest(ctx, k, c.Version)
	}
	return t.chooseInRange(ctx, k, w.Constraint)
}

func (t *resolver) chooseInRange(ctx context.Context, k *known, c npmrange.Constraint) (*manifest.Manifest, error) {
	if latest, ok := k.tags["latest"]; ok && c.Match(latest) && slices.Contains(k.versions, latest) {
		m, err := t.manifest(ctx, k, latest)
		if err == nil && !m.Deprecated && t.runs(m.Engines) {
			return m, nil
		}
	}
	if c.Kind == npmrange.Latest {
		r, err := npmrange.Parse("*")
		if err != nil {
			return nil, err
		}
		c = npmrange.Constraint{Kind: npmrange.InRange, Range: r}
	}
	var best *manifest.Manifest
	score := -1
	for _, v := range k.versions {
		if !c.Match(v) {
			continue
		}
		m, err := t.manifest(ctx, k, v)
		if err != nil {
			return nil, err
		}
		s := 0
		if t.runs(m.Engines) {
			s += 2
		}
		if !m.Deprecated {
			s++
		}
		if s > score {
			best, score = m, s
		}
		if s == 3 {
			break
		}
	}
	if best == nil {
		return nil, fmt.Errorf("there is no release of %q in that range", k.name)
	}
	return best, nil
}

// runs reports whether a package says that it runs with this node and npm.
func (t *resolver) runs(e manifest.Engines) bool {
	return holds(e.Node, t.options.Node) && holds(e.NPM, t.options.NPM)
}

func holds(engine string, v records.Version) bool {
	if engine == "" || v == "" {
		return true
	}
	r, err := npmrange.ParsePrerelease(engine)
	return err == nil && r.Match(v)
}
