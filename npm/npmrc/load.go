package npmrc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
)

// Places says where the files are and what the process's environment holds.
type Places struct {
	Home    string   // the user's directory; empty without
	Project string   // the directory of a package.json; empty without
	Prefix  string   // where node is installed (the directory above its bin); empty if that is not known
	Environ []string // as os.Environ gives it
}

// Load reads the files of the machine, the user and the project, and the environment
// (npm_config_...). Files that are not there say nothing.
func Load(p Places) (*Config, error) {
	c := &Config{}
	environment := make(map[string]string)
	options := make(map[string]string)
	for _, pair := range p.Environ {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		environment[name] = value
		if len(name) > len(optionPrefix) && strings.EqualFold(name[:len(optionPrefix)], optionPrefix) && value != "" {
			options[optionName(name[len(optionPrefix):])] = value
		}
	}
	lookup := func(name string) (string, bool) {
		v, ok := environment[name]
		return v, ok
	}
	for key, value := range options {
		c.Set(key, value)
	}
	for _, f := range p.files(options) {
		if f.path == "" {
			continue
		}
		b, err := regularfile.Read(f.path, MaxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read npm's configuration: %w", err)
		}
		_, text := regularfile.CutBOM(b)
		c.Add(f.source, string(text), lookup)
	}
	return c, nil
}

type file struct {
	source Source
	path   string
}

// files are those to read, whether they are there or not, the later overruling.
func (p *Places) files(options map[string]string) []file {
	user := ""
	if p.Home != "" {
		user = filepath.Join(p.Home, ".npmrc")
	}
	if file := options["userconfig"]; file != "" {
		user = file
	}
	prefix := p.Prefix
	if dir := options["prefix"]; dir != "" {
		prefix = dir
	}
	global := options["globalconfig"]
	if global == "" && prefix != "" {
		global = filepath.Join(prefix, "etc", "npmrc")
	}
	list := []file{{Global, global}, {User, user}}
	if p.Project != "" {
		if project := filepath.Join(p.Project, ".npmrc"); !sameFile(project, user) {
			list = append(list, file{Project, project})
		}
	}
	return list
}

const optionPrefix = "npm_config_"

// optionName is the setting that an environment variable gives: npm writes those of
// hosts and scopes as they are, others with "_" for "-".
func optionName(s string) string {
	if strings.HasPrefix(s, "//") || strings.HasPrefix(s, "@") {
		return s
	}
	// A leading underscore is part of a name (_auth).
	lead := s[:len(s)-len(strings.TrimLeft(s, "_"))]
	return lead + strings.ToLower(strings.ReplaceAll(s[len(lead):], "_", "-"))
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
