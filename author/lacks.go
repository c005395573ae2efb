package author

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// LackKind is what an author should know about a package before it is signed.
type LackKind int

const (
	MissingFile LackKind = iota + 1 // Field names Value, which is not in the module
	UnlistedFiles
	UnrunScripts // Values, which npm would have run
	ForeignDependency
	RestrictedAccess
	OtherRegistry  // Value
	UnreadConfig   // Value says what cannot be read
	OtherDirectory // Value
	Unreleased     // dependencies, Values, are not known here
	OtherFields    // Values, which pnpm and yarn publish in place of those of package.json
	YankedBefore   // the version is in the range Value, which the key has yanked
	DeprecatedBefore
)

// A Lack is something about a package that its author should know before it is signed.
type Lack struct {
	Kind    LackKind
	Field   string // of package.json, or npm_config_access
	Value   string
	Values  []string
	Foreign modules.UnsupportedDependency // of a ForeignDependency
	Stops   bool                          // what is published so can never be used, or was not to be
}

// LackOptions are what is known beside package.json.
type LackOptions struct {
	Access string // that npm's configuration asks for
	Built  bool   // npm has run the scripts
}

// Lacks returns what the package lacks. Without x, nothing is said of dependencies that
// nobody has released; where they cannot be read, the others come with the error.
func Lacks(ctx context.Context, set *modules.FileSet, x Releases, o LackOptions) ([]Lack, error) {
	var all []Lack
	missing := set.MissingTargets()
	for _, l := range missing {
		all = append(all, Lack{Kind: MissingFile, Field: l.Field, Value: l.Value, Stops: true})
	}
	if unlisted := set.UnmatchedFiles(); len(unlisted) > 0 {
		all = append(all, Lack{Kind: UnlistedFiles, Field: "files", Values: unlisted})
	}
	if scripts := set.Package.BuildScripts(); len(scripts) > 0 && len(missing) == 0 && !o.Built {
		all = append(all, Lack{Kind: UnrunScripts, Field: "scripts", Values: scripts})
	}
	for _, f := range set.UnsupportedDependencies() {
		needed := f.Field != "optionalDependencies" && f.Field != "peerDependencies"
		all = append(all, Lack{Kind: ForeignDependency, Field: f.Field, Value: f.Spec, Foreign: f, Stops: needed})
	}
	all = append(all, elsewhere(set.Package.PublishConfig(), o.Access)...)
	if x == nil {
		return all, nil
	}
	unreleased, err := unreleased(ctx, set, x)
	if len(unreleased) > 0 {
		all = append(all, Lack{Kind: Unreleased, Field: "dependencies", Values: unreleased})
	}
	return all, err
}

// elsewhere says where the author wants the package to be, if not with everybody.
func elsewhere(c modules.PublishConfig, access string) []Lack {
	const field = "publishConfig"
	var all []Lack
	switch {
	case c.Access == "restricted":
		all = append(all, Lack{Kind: RestrictedAccess, Field: field, Stops: true})
	case c.Access == "" && access == "restricted":
		all = append(all, Lack{Kind: RestrictedAccess, Field: "npm_config_access", Stops: true})
	}
	for _, r := range c.Registry {
		// es knows of no registry which is for everybody: the author says so by access.
		if c.Access != "public" {
			all = append(all, Lack{Kind: OtherRegistry, Field: field, Value: r, Stops: true})
		}
	}
	for _, what := range c.Invalid {
		all = append(all, Lack{Kind: UnreadConfig, Field: field, Value: what, Stops: true})
	}
	if c.Directory != "" {
		all = append(all, Lack{Kind: OtherDirectory, Field: field, Value: c.Directory, Stops: true})
	}
	if len(c.Fields) > 0 {
		all = append(all, Lack{Kind: OtherFields, Field: field, Values: c.Fields, Stops: true})
	}
	return all
}

// Withdrawals says what the key has said of the version before it is there.
func (a *Author) Withdrawals(ctx context.Context, name records.Name, v records.Version) ([]Lack, error) {
	var all []Lack
	for _, k := range []struct {
		notice string
		lack   LackKind
	}{{records.Yanked, YankedBefore}, {records.Deprecated, DeprecatedBefore}} {
		ranges, err := a.Withdrawn(ctx, k.notice, name, v)
		if err != nil {
			return nil, err
		}
		for _, r := range ranges {
			all = append(all, Lack{Kind: k.lack, Field: "version", Value: r, Stops: k.lack == YankedBefore})
		}
	}
	return all, nil
}

// unreleased returns the dependencies of the module that nobody has released, as
// "name" or, when the range has no version, "name@range".
func unreleased(ctx context.Context, set *modules.FileSet, x Releases) ([]string, error) {
	var missing []string
	deps := set.Dependencies()
	foreign := set.UnsupportedDependencies()
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		if slices.ContainsFunc(foreign, func(f modules.UnsupportedDependency) bool { return f.Name == name }) {
			continue
		}
		real, spec := aliased(name, strings.TrimSpace(deps[name]))
		n, err := records.ParseName(real)
		if err != nil {
			missing = append(missing, real)
			continue
		}
		all, err := x.Releases(ctx, n)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(r index.Release) bool { return r.Invalid != "" })
		want, bad := npmrange.ParseConstraint(spec)
		switch {
		case len(all) == 0:
			missing = append(missing, real)
		case bad == nil && !slices.ContainsFunc(all, func(r index.Release) bool { return want.Match(r.Body.Version) }):
			missing = append(missing, real+"@"+spec)
		}
	}
	return missing, nil
}

// aliased returns the name and the range that a dependency stands for: those after "npm:",
// where it has that.
func aliased(name, spec string) (real, rng string) {
	alias, ok := strings.CutPrefix(spec, "npm:")
	if !ok {
		return name, spec
	}
	real, rng, _ = strings.Cut(alias, "@")
	if real == "" { // a scope
		real, rng, _ = strings.Cut(strings.TrimPrefix(alias, "@"), "@")
		real = "@" + real
	}
	return real, rng
}
