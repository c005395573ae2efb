// Package fakes makes up releases, for tests: keys that sign nothing, modules without
// blocks, and graphs of releases that need each other in every way.
package fakes

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Key is the fingerprint of somebody.
func Key(name string) records.Fingerprint {
	sum := sha256.Sum256([]byte(name))
	f, err := records.FingerprintFromBytes(sum[:20])
	if err != nil {
		panic(err)
	}
	return f
}

// Record is the id of somebody's record about an id such as "a@1.0.0".
func Record(id string, by records.Fingerprint) cid.Cid {
	sum, err := multihash.Sum([]byte(id+by.String()), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagCBOR, sum)
}

// Module is the CID of a module without blocks.
func Module(id string) cid.Cid {
	sum, err := multihash.Sum([]byte(id), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, sum)
}

// Releases makes releases that need each other in every way, conflicts
// and cycles included. Every range can be satisfied.
func Releases(rng *rand.Rand) []*records.Release {
	names, versions := 2+rng.IntN(7), 1+rng.IntN(4)
	version := func() string { return fmt.Sprintf("%d.%d.0", 1+rng.IntN(versions), rng.IntN(2)) }
	var list []*records.Release
	exists := map[string]bool{}
	for n := range names {
		for range 1 + rng.IntN(2*versions) {
			id := fmt.Sprintf("%c@%s", 'a'+n, version())
			if !exists[id] {
				exists[id] = true
				name, v := Cut(id)
				list = append(list, &records.Release{Name: records.Name(name), Version: records.Version(v), Module: Module(id), Files: 1})
			}
		}
	}
	density := rng.IntN(4)
	for _, r := range list {
		for range rng.IntN(density + 2) {
			to := list[rng.IntN(len(list))]
			spec := Range(rng, to.Version)
			if _, twice := r.Manifest.Dependencies[string(to.Name)]; rng.IntN(6) == 0 && !twice {
				r.Manifest.OptionalDependencies = With(r.Manifest.OptionalDependencies, to.Name, spec)
			} else if rng.IntN(12) == 0 {
				r.Manifest.Dependencies = With(r.Manifest.Dependencies, "alias-"+to.Name, "npm:"+string(to.Name)+"@"+spec)
			} else if r.Manifest.OptionalDependencies[string(to.Name)] == "" {
				r.Manifest.Dependencies = With(r.Manifest.Dependencies, to.Name, spec)
			}
		}
		if rng.IntN(15) == 0 {
			r.Manifest.Bundled = slices.Sorted(maps.Keys(r.Manifest.Dependencies))
		}
	}
	return list
}

// With returns m with one dependency more.
func With(m map[string]string, name records.Name, spec string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[string(name)] = spec
	return m
}

// Range is a spec that v satisfies.
func Range(rng *rand.Rand, v records.Version) string {
	major, _, _ := strings.Cut(string(v), ".")
	return []string{string(v), "^" + string(v), "~" + string(v), ">=" + string(v), major, "*", "x"}[rng.IntN(7)]
}

// Cut splits NAME@SPEC; the @ of a scope is not the one.
func Cut(s string) (name, spec string) {
	name, spec, _ = strings.Cut(s[1:], "@")
	return s[:1] + name, spec
}
