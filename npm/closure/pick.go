package closure

import (
	"fmt"
	"slices"

	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// pick chooses a version as npm does: a tag's; else, of those in the range, what
// "latest" names unless it is deprecated, else the highest that is not, else the
// highest.
func pick(p *registry.Packument, c npmrange.Constraint) (*registry.Version, records.Version, error) {
	switch c.Kind {
	case npmrange.Latest:
		return tagged(p, "latest")
	case npmrange.Tag:
		return tagged(p, c.Tag)
	}
	var in []candidate
	latest := p.Tags["latest"]
	for i := range p.Versions {
		v, err := records.ParseVersion(p.Versions[i].Version)
		if err != nil || !c.Match(v) {
			continue
		}
		in = append(in, candidate{&p.Versions[i], v})
		if p.Versions[i].Version == latest && !p.Versions[i].Hints().Deprecated {
			return &p.Versions[i], v, nil
		}
	}
	if len(in) == 0 {
		return nil, "", fmt.Errorf("the registry has no version of %q in that range; its latest is %q", p.Name, latest)
	}
	slices.SortFunc(in, func(x, y candidate) int { return y.version.Compare(x.version) })
	for _, each := range in {
		if !each.info.Hints().Deprecated {
			return each.info, each.version, nil
		}
	}
	return in[0].info, in[0].version, nil
}

type candidate struct {
	info    *registry.Version
	version records.Version
}

func tagged(p *registry.Packument, tag string) (*registry.Version, records.Version, error) {
	text, ok := p.Tags[tag]
	if !ok {
		return nil, "", fmt.Errorf("the registry has no tag %q of %q", tag, p.Name)
	}
	v, err := records.ParseVersion(text)
	if err != nil {
		return nil, "", fmt.Errorf("tag %q of %q: %w", tag, p.Name, err)
	}
	info, ok := p.Find(text)
	if !ok {
		return nil, "", fmt.Errorf("tag %q of %q is %s, which the registry does not have", tag, p.Name, v)
	}
	return info, v, nil
}
