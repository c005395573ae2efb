package manifest

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/records"
)

// Limits of overrides.
const (
	maxOverrides     = 10_000
	maxOverrideDepth = 32
)

// An Override is one entry of overrides.
type Override struct {
	Key    string // as written: NAME or NAME@RANGE
	Name   string
	Range  string // which of the dependencies of that name; "*" for all
	Value  string // what they get instead; the range if only what is within counts
	Within []Override
}

func parseOverrides(v jsontext.Value) ([]Override, error) {
	budget := maxOverrides
	return overridesOf(v, &budget, 0)
}

func overridesOf(v jsontext.Value, budget *int, depth int) ([]Override, error) {
	if depth > maxOverrideDepth {
		return nil, fmt.Errorf("more than %d within each other", maxOverrideDepth)
	}
	var all []Override
	for _, m := range members(v) {
		if *budget--; *budget < 0 {
			return nil, fmt.Errorf("more than %d", maxOverrides)
		}
		if m.name == "." {
			continue
		}
		o, err := overrideOf(m)
		if err != nil {
			return nil, err
		}
		if o.Within, err = overridesOf(m.value, budget, depth+1); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func overrideOf(m member) (Override, error) {
	o := Override{Key: m.name, Name: m.name, Range: "*"}
	if i := strings.LastIndexByte(m.name, '@'); i > 0 {
		o.Name, o.Range = m.name[:i], orStar(m.name[i+1:])
	}
	if !records.IsDependencyName(o.Name) {
		return o, fmt.Errorf("%q is not a package's name, or NAME@RANGE", records.Clip(m.name))
	}
	o.Value = o.Range
	switch m.value.Kind() {
	case '"':
		o.Value = orStar(text(m.value))
	case '{':
		for _, own := range members(m.value) {
			if own.name == "." {
				o.Value = orStar(text(own.value))
			}
		}
	default:
		return o, fmt.Errorf("%q is neither a version nor an object", records.Clip(m.name))
	}
	return o, nil
}
