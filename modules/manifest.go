package modules

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/packlist"
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
	switch v := p.json.Get("keywords").(type) {
	case string:
		words = strings.Split(v, ",")
	case []any:
		words = npmjson.Strings(v)
	}
	return cleanList(words, maxKeywords, maxKeyword)
}

// platforms reads os, cpu and libc, each a list or a single word.
func (p *PackageJSON) platforms(field string) []string {
	switch v := p.json.Get(field).(type) {
	case string:
		return cleanList([]string{v}, maxPlatforms, maxKeyword)
	case []any:
		return cleanList(npmjson.Strings(v), maxPlatforms, maxKeyword)
	}
	return nil
}

func (p *PackageJSON) engines() map[string]string {
	o := p.json.Object("engines")
	var engines map[string]string
	for _, name := range o.Keys() {
		value, ok := o.Get(name).(string)
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
		switch v := p.json.Get(field).(type) {
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
	case *npmjson.Object:
		if t := v.Text("type"); t != "" {
			return t
		}
		return v.Text("name")
	}
	return ""
}

// cleanURL reads a URL, or an object that has one. A URL that is too long would
// lead elsewhere if it were cut.
func cleanURL(v any) string {
	s, ok := v.(string)
	if !ok {
		o, _ := v.(*npmjson.Object)
		s = o.Text("url")
	}
	s = records.CleanText(s, len(s))
	if len(s) > records.MaxText {
		return ""
	}
	return s
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
	scripts := p.json.Object("scripts")
	for _, name := range []string{"preinstall", "install", "postinstall"} {
		if scripts.Text(name) != "" {
			return true
		}
	}
	gypfile, isBool := p.json.Get("gypfile").(bool)
	return files["binding.gyp"] && (gypfile || !isBool)
}

// bundled returns the names whose modules are inside this one: those that
// package.json lists and that are among paths.
func (p *PackageJSON) bundled(dependencies map[string]string, paths []string) []string {
	var names []string
	for _, name := range npmjson.BundledNames(p.json, dependencies) {
		prefix := "node_modules/" + name + "/"
		inside := slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, prefix) })
		if records.IsDependencyName(name) && inside {
			names = append(names, name)
		}
	}
	return sortedUnique(names)
}

// bins derives the commands that the module installs. A command whose program
// is not in the module is left out, as npm leaves it out; one
// that leads out of the module, or whose name is not a file name everywhere, is
// an error.
func (p *PackageJSON) bins(paths []string, files map[string]bool) (map[string]string, []packlist.Warning, error) {
	declared, warnings, err := p.declaredBins(paths)
	if err != nil {
		return nil, nil, err
	}
	var bins map[string]string
	for _, b := range declared {
		if records.IsReservedCommand(b.command, p.Name) {
			warnings = append(warnings, packlist.Warning{Path: npmjson.FileName, Reason: "the command " + b.command + " belongs to another program and is left out"})
			continue
		}
		if !files[b.program] {
			continue // see FileSet.MissingTargets
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

func (p *PackageJSON) declaredBins(paths []string) ([]bin, []packlist.Warning, error) {
	var raw []bin
	switch v := p.json.Get("bin").(type) {
	case string:
		if v != "" {
			raw = append(raw, bin{p.Name.Base(), v})
		}
	case []any:
		for _, program := range npmjson.Strings(v) {
			raw = append(raw, bin{path.Base(program), program})
		}
	case *npmjson.Object:
		for _, command := range v.Keys() {
			if program, ok := v.Get(command).(string); ok {
				raw = append(raw, bin{command, program})
			}
		}
	}
	switch p.json.Get("bin") {
	case nil, false, "":
		bins, err := p.binDirectory(paths)
		return bins, nil, err
	}
	var bins []bin
	var warnings []packlist.Warning
	for _, b := range raw {
		// npm takes the last element, so that the bin of @scope/tool is "tool".
		command := path.Base(npmjson.SecurePath(b.command))
		if npmjson.SecurePath(b.program) == "" || command == "." {
			warnings = append(warnings, packlist.Warning{Path: npmjson.FileName, Reason: fmt.Sprintf("bin: %.200q: %.200q names no program and is left out", b.command, b.program)})
			continue
		}
		program, err := binProgram(b.program)
		if err != nil {
			return nil, nil, ruleErrorf("M47", npmjson.FileName, "bin: %.200q: %v", b.command, err)
		}
		if err := records.CheckCommand(command); err != nil {
			return nil, nil, ruleErrorf("M47", npmjson.FileName, "bin: %v", err)
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
			return "", fmt.Errorf("%.200q leads out of the module", program)
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
	dir := p.json.Object("directories").Text("bin")
	if strings.Trim(dir, `./\`) == "" && !strings.Contains(dir, "..") {
		return nil, nil
	}
	dir, err := binProgram(dir)
	if err != nil {
		return nil, ruleErrorf("M47", npmjson.FileName, "directories.bin: %v", err)
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
		switch {
		case npmjson.IsLaterBin(a.program, b.program):
			return -1
		case npmjson.IsLaterBin(b.program, a.program):
			return 1
		}
		return 0
	})
	return bins, nil
}

func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
