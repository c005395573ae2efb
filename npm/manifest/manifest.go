// Package manifest reads package.json as npm does where it decides about node_modules
// (SPEC.md section 17.6): what a package asks for, and what a project consists of. It
// chooses nothing.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

// MaxDependencies is the most entries that are read of one field of a package.json.
const MaxDependencies = 10_000

// A Dependency is one entry of a field such as "dependencies".
type Dependency struct {
	Name string
	Spec string // as written: a range, a tag, npm:NAME@RANGE, file:PATH
}

// A Manifest is what a package.json says that decides about trees. The order of its
// entries counts, as it does for npm.
type Manifest struct {
	Name    string
	Version records.Version // empty if there is none, or none that can be compared

	Dependencies, Dev, Optional, Peers []Dependency
	OptionalPeers                      map[string]bool
	Bundled                            []string

	Engines       Engines
	OS, CPU, Libc []string
	Deprecated    bool

	Workspaces []string   // patterns of directories
	Overrides  []Override // of a project's package.json alone
}

// Engines are the versions of node and npm that a package says it runs with.
type Engines struct{ Node, NPM string }

// Parse reads a package.json, or what a registry has of one. It is as lenient as
// npm: a field of another form than it should have says nothing. Only overrides that
// cannot be read are an error: what they were to hold back would come.
func Parse(b []byte) (*Manifest, error) {
	var doc struct {
		Name       jsontext.Value `json:"name"`
		Version    jsontext.Value `json:"version"`
		Prod       jsontext.Value `json:"dependencies"`
		Dev        jsontext.Value `json:"devDependencies"`
		Optional   jsontext.Value `json:"optionalDependencies"`
		Peers      jsontext.Value `json:"peerDependencies"`
		PeersMeta  jsontext.Value `json:"peerDependenciesMeta"`
		Bundle     jsontext.Value `json:"bundleDependencies"`
		Bundled    jsontext.Value `json:"bundledDependencies"`
		Overrides  jsontext.Value `json:"overrides"`
		Workspaces jsontext.Value `json:"workspaces"`
		Engines    jsontext.Value `json:"engines"`
		OS         jsontext.Value `json:"os"`
		CPU        jsontext.Value `json:"cpu"`
		Libc       jsontext.Value `json:"libc"`
		Deprecated jsontext.Value `json:"deprecated"`
	}
	if err := json.Unmarshal(b, &doc, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, errors.New("it is no object of JSON")
	}
	m := &Manifest{
		Name: text(doc.Name), Optional: entries(doc.Optional), Peers: entries(doc.Peers),
		Dev: entries(doc.Dev), Dependencies: entries(doc.Prod), OptionalPeers: optionalPeers(doc.PeersMeta),
		Engines: engines(doc.Engines), OS: npm.Words(doc.OS), CPU: npm.Words(doc.CPU), Libc: npm.Words(doc.Libc),
		Deprecated: isTruthy(doc.Deprecated), Workspaces: workspacePatterns(doc.Workspaces),
	}
	m.Version, _ = records.ParseVersion(text(doc.Version))
	for _, o := range m.Optional { // what is in both is optional
		m.Dependencies = slices.DeleteFunc(m.Dependencies, func(d Dependency) bool { return d.Name == o.Name })
	}
	bundled := doc.Bundle
	if len(bundled) == 0 {
		bundled = doc.Bundled
	}
	m.Bundled = m.bundled(bundled)
	var err error
	if m.Overrides, err = parseOverrides(doc.Overrides); err != nil {
		return nil, fmt.Errorf("overrides: %w", err)
	}
	return m, nil
}

func text(v jsontext.Value) string {
	var s string
	if len(v) == 0 || json.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	return s
}

// isTruthy reports what JavaScript makes of a value: "deprecated" may be false or "".
func isTruthy(v jsontext.Value) bool {
	switch string(v) {
	case "", "null", "false", `""`, "0":
		return false
	}
	return true
}

// member is one field of an object of JSON.
type member struct {
	name  string
	value jsontext.Value
}

// members returns the fields of an object in their order; of a name that stands twice
// the later value at the earlier place, as JavaScript has it.
func members(v jsontext.Value) []member {
	if v.Kind() != '{' {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	var all []member
	at := make(map[string]int)
	for d.PeekKind() != '}' && len(all) < MaxDependencies {
		name, err := d.ReadToken()
		if err != nil {
			return all
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return all
		}
		if i, ok := at[key]; ok {
			all[i].value = value.Clone()
			continue
		}
		at[key] = len(all)
		all = append(all, member{key, value.Clone()})
	}
	return all
}

func entries(v jsontext.Value) []Dependency {
	var all []Dependency
	for _, m := range members(v) {
		if m.value.Kind() == '"' {
			all = append(all, Dependency{m.name, text(m.value)})
		}
	}
	return all
}

func optionalPeers(v jsontext.Value) map[string]bool {
	var optional map[string]bool
	for _, m := range members(v) {
		for _, field := range members(m.value) {
			if field.name == "optional" && isTruthy(field.value) {
				if optional == nil {
					optional = make(map[string]bool)
				}
				optional[m.name] = true
			}
		}
	}
	return optional
}

func engines(v jsontext.Value) Engines {
	var e Engines
	for _, m := range members(v) {
		switch m.name {
		case "node":
			e.Node = text(m.value)
		case "npm":
			e.NPM = text(m.value)
		}
	}
	return e
}

// bundled are the names of what a package brings along: true stands for all that it
// depends on.
func (m *Manifest) bundled(v jsontext.Value) []string {
	switch v.Kind() {
	case 't':
		var names []string
		for _, d := range m.Dependencies {
			names = append(names, d.Name)
		}
		return names
	case '[':
		var names []string
		if json.Unmarshal(v, &names) != nil {
			return nil
		}
		return names
	case '{':
		var names []string
		for _, each := range members(v) {
			names = append(names, each.name)
		}
		return names
	}
	return nil
}

// workspacePatterns reads the list, or an object's "packages" as yarn has it.
func workspacePatterns(v jsontext.Value) []string {
	for _, m := range members(v) {
		if m.name == "packages" {
			v = m.value
		}
	}
	var patterns []string
	if v.Kind() != '[' || json.Unmarshal(v, &patterns) != nil {
		return nil
	}
	return patterns
}
