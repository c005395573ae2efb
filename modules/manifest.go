package modules

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// What a manifest takes of the lists that authors fill for search ([M43]).
const (
	maxKeywords  = 64
	maxKeyword   = 64 // bytes
	maxEngines   = 16
	maxPlatforms = 64
)

func (p *PackageJSON) keywords() []string {
	var words []string
	switch v := p.json.get("keywords").(type) {
	case string:
		words = strings.Split(v, ",")
	case []any:
		words = stringsOf(v)
	}
	return cleanList(words, maxKeywords, maxKeyword)
}

// platforms reads os, cpu and libc, each a list or a single word.
func (p *PackageJSON) platforms(field string) []string {
	switch v := p.json.get(field).(type) {
	case string:
		return cleanList([]string{v}, maxPlatforms, maxKeyword)
	case []any:
		return cleanList(stringsOf(v), maxPlatforms, maxKeyword)
	}
	return nil
}

func (p *PackageJSON) engines() map[string]string {
	o := p.json.object("engines")
	var engines map[string]string
	for _, name := range o.names() {
		value, ok := o.get(name).(string)
		key := records.CleanText(name, maxKeyword)
		if !ok || key == "" || key != name || len(engines) == maxEngines {
			continue
		}
		if engines == nil {
			engines = make(map[string]string)
		}
		engines[key] = records.CleanText(value, records.MaxText)
	}
	return engines
}

// license reads an SPDX expression, or one of the two forms that came before:
// {"type": "MIT"}, and "licenses" with a list of such.
func (p *PackageJSON) license() string {
	for _, field := range []string{"license", "licenses"} {
		var words []string
		switch v := p.json.get(field).(type) {
		case []any:
			for _, item := range v {
				words = append(words, licenseName(item))
			}
		default:
			words = []string{licenseName(v)}
		}
		words = cleanList(words, maxKeywords, records.MaxText)
		if len(words) > 0 {
			return records.CleanText(strings.Join(words, " OR "), records.MaxText)
		}
	}
	return ""
}

func licenseName(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case *jsonObject:
		if t := v.string("type"); t != "" {
			return t
		}
		return v.string("name")
	}
	return ""
}

// cleanURL reads a URL, or an object that has one. A URL that is too long would
// lead elsewhere if it were cut.
func cleanURL(v any) string {
	s, ok := v.(string)
	if !ok {
		o, _ := v.(*jsonObject)
		s = o.string("url")
	}
	s = records.CleanText(s, len(s))
	if len(s) > records.MaxText {
		return ""
	}
	return s
}

func stringsOf(list []any) []string {
	var words []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			words = append(words, s)
		}
	}
	return words
}

// cleanList cleans words, drops what is then empty or there already, and keeps
// the first ones.
func cleanList(words []string, most, size int) []string {
	var list []string
	for _, w := range words {
		w = records.CleanText(w, size)
		if w != "" && !slices.Contains(list, w) && len(list) < most {
			list = append(list, w)
		}
	}
	return list
}

// installScripts reports whether npm would run something when it installs the
// module: one of three scripts, or node-gyp for a binding.gyp.
func (p *PackageJSON) installScripts(files map[string]bool) bool {
	scripts := p.json.object("scripts")
	for _, name := range []string{"preinstall", "install", "postinstall"} {
		if scripts.string(name) != "" {
			return true
		}
	}
	gypfile, isBool := p.json.get("gypfile").(bool)
	return files["binding.gyp"] && (gypfile || !isBool)
}

// bundled returns the names whose modules are inside this one: those that
// package.json lists and that are among paths.
func (p *PackageJSON) bundled(dependencies map[string]string, paths []string) []string {
	var names []string
	for _, name := range p.bundleList(dependencies) {
		prefix := "node_modules/" + name + "/"
		inside := slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, prefix) })
		if records.IsDependencyName(name) && inside {
			names = append(names, name)
		}
	}
	return sortedUnique(names)
}

// bundleList reads bundleDependencies as npm does: a list, true for all
// dependencies, or an object whose keys count; bundledDependencies if it is
// the only one.
func (p *PackageJSON) bundleList(dependencies map[string]string) []string {
	field := "bundleDependencies"
	if !p.json.has(field) {
		field = "bundledDependencies"
	}
	switch v := p.json.get(field).(type) {
	case bool:
		if v {
			return sortedKeys(dependencies)
		}
	case []any:
		return stringsOf(v)
	case *jsonObject:
		return v.keys
	}
	return nil
}

// bins derives the commands that the module installs. A command whose program
// is not in the module is left out, as npm leaves it out; one
// that leads out of the module, or whose name is not a file name everywhere, is
// an error.
func (p *PackageJSON) bins(paths []string, files map[string]bool) (map[string]string, []Warning, error) {
	declared, warnings, err := p.declaredBins(paths)
	if err != nil {
		return nil, nil, err
	}
	var bins map[string]string
	for _, b := range declared {
		if records.IsReservedCommand(b.command, p.Name) {
			warnings = append(warnings, Warning{packageJSON, "the command " + b.command + " belongs to another program and is left out"})
			continue
		}
		if !files[b.program] {
			continue // FileSet.Lacks tells
		}
		if bins == nil {
			bins = make(map[string]string)
		}
		bins[b.command] = b.program
	}
	return bins, warnings, nil
}

// A bin is a command and the path of its program in the module.
type bin struct{ command, program string }

func (p *PackageJSON) declaredBins(paths []string) ([]bin, []Warning, error) {
	var raw []bin
	switch v := p.json.get("bin").(type) {
	case string:
		if v != "" {
			raw = append(raw, bin{p.Name.Base(), v})
		}
	case []any:
		for _, program := range stringsOf(v) {
			raw = append(raw, bin{path.Base(program), program})
		}
	case *jsonObject:
		for _, command := range v.keys {
			if program, ok := v.get(command).(string); ok {
				raw = append(raw, bin{command, program})
			}
		}
	}
	switch p.json.get("bin") {
	case nil, false, "":
		bins, err := p.binDirectory(paths)
		return bins, nil, err
	}
	var bins []bin
	var warnings []Warning
	for _, b := range raw {
		// npm takes the last element, so that the bin of @scope/tool is "tool".
		command := path.Base(securePath(b.command))
		if securePath(b.program) == "" || command == "." {
			warnings = append(warnings, Warning{packageJSON, fmt.Sprintf("bin: %q: %q names no program and is left out", clip(b.command), clip(b.program))})
			continue
		}
		program, err := binProgram(b.program)
		if err != nil {
			return nil, nil, broken("M47", packageJSON, "bin: %q: %v", clip(b.command), err)
		}
		if err := records.CheckCommand(command); err != nil {
			return nil, nil, broken("M47", packageJSON, "bin: %v", err)
		}
		bins = append(bins, bin{command, program})
	}
	return bins, warnings, nil
}

// binProgram makes the path of a program relative to the module.
func binProgram(program string) (string, error) {
	slashed := strings.ReplaceAll(program, `\`, "/")
	depth := 0
	for _, e := range strings.Split(slashed, "/") {
		switch e {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return "", fmt.Errorf("%q leads out of the module", clip(program))
		}
	}
	cleaned := strings.TrimPrefix(path.Clean("/"+slashed), "/")
	if err := records.CheckPath(cleaned); err != nil {
		return "", err
	}
	return cleaned, nil
}

// binDirectory makes every visible file under directories.bin a command.
func (p *PackageJSON) binDirectory(paths []string) ([]bin, error) {
	dir := p.json.object("directories").string("bin")
	if strings.Trim(dir, `./\`) == "" && !strings.Contains(dir, "..") {
		return nil, nil
	}
	dir, err := binProgram(dir)
	if err != nil {
		return nil, broken("M47", packageJSON, "directories.bin: %v", err)
	}
	var bins []bin
	for _, file := range paths {
		rest, inside := strings.CutPrefix(file, dir+"/")
		command := path.Base(file)
		if !inside || strings.HasPrefix(rest, ".") || strings.Contains(rest, "/.") ||
			records.CheckCommand(command) != nil || records.CheckPath(file) != nil {
			continue
		}
		bins = append(bins, bin{command, file})
	}
	slices.SortFunc(bins, func(a, b bin) int {
		if laterBin(a.program, b.program) {
			return -1
		}
		return boolInt(laterBin(b.program, a.program))
	})
	return bins, nil
}

func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
