package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
	"github.com/everythingstays/es/sign"
)

// npmConfig is what npm is configured with by the environment: npm sets it for the
// scripts that it runs, and reads it from whoever runs npm.
func (a *app) npmConfig(key string) string {
	for _, name := range []string{"npm_config_" + key, "NPM_CONFIG_" + strings.ToUpper(key)} {
		if v := a.getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// npmFlag reports whether npm's configuration has a flag set.
func (a *app) npmFlag(key string) bool {
	v := strings.ToLower(a.npmConfig(key))
	return v != "" && v != "false" && v != "0" && v != "null"
}

// A lack is something about a package that its author should know before it is signed.
type lack struct {
	label, text, todo string
	stops             bool // what is published so can never be used, or was not to be
}

// tellLacks says what the package lacks. With somebody at the terminal it asks whether
// to go on; without, it refuses what stops, unless --yes was given.
func (p *publication) tellLacks(ctx context.Context, o publishOptions) error {
	a, about := p.app, fmt.Sprintf("%s@%s", p.name, p.module.Version)
	for _, w := range p.set.Warnings {
		a.warn("%s: %s", safe(w.Path), safe(w.Reason))
	}
	lacks, err := p.lacks(ctx)
	if err != nil {
		return err
	}
	r := &refusal{kind: notReady, code: exitFailed, about: about, meaning: meanings[notReady], err: errors.New(about + " is not ready to be published")}
	for _, l := range lacks {
		if l.stops {
			r.add(l.label, "%s", l.text)
			if !slices.Contains(r.next, l.todo) {
				r.next = append(r.next, l.todo)
			}
		}
	}
	asks := a.asks && !o.yes && !o.dryRun
	for _, l := range lacks {
		if l.stops && !asks && !o.yes {
			continue // the refusal has it
		}
		a.warn("%s: %s", l.label, safe(l.text))
		a.hint("%s", l.todo)
	}
	if len(r.facts) > 0 && !asks && !o.yes {
		r.next = append(r.next, "es publish --yes publishes it all the same")
		return r
	}
	if !asks || len(lacks) == 0 && len(p.set.Warnings) == 0 {
		return nil
	}
	ok, err := a.ask(ctx, "Sign and publish "+about+" all the same, for ever?", o.yes, "--yes")
	if err == nil && !ok {
		err = errors.New("nothing was signed or published")
	}
	return err
}

func (p *publication) lacks(ctx context.Context) ([]lack, error) {
	pkg := p.set.Package
	var all []lack
	for _, l := range p.set.Lacks() {
		all = append(all, lack{l.Field, fmt.Sprintf("%q is not in the module", l.Value), p.buildHint(), true})
	}
	if unlisted := p.set.Unlisted(); len(unlisted) > 0 {
		all = append(all, lack{"files", "nothing in the module is named by " + quotedList(unlisted), p.buildHint(), false})
	}
	if scripts := pkg.BuildScripts(); len(scripts) > 0 && len(p.set.Lacks()) == 0 && p.app.getenv("npm_command") != "publish" {
		all = append(all, lack{"scripts", "es runs none of them, so these did not run: " + strings.Join(scripts, ", "), "npm run " + scripts[0] + ", unless what it makes is up to date", false})
	}
	for _, f := range p.set.Foreign() {
		todo := "release " + f.Name + " with es and depend on a version of it, or name it in bundleDependencies"
		if strings.HasPrefix(f.What, "replaced") {
			todo = "write the version of " + f.Name + " into package.json before es publish"
		}
		all = append(all, lack{f.Field, fmt.Sprintf("%s is %q, which es can never install: it is %s", f.Name, f.Spec, f.What), todo, f.Field != "optionalDependencies" && f.Field != "peerDependencies"})
	}
	all = append(all, p.elsewhere(pkg.PublishConfig())...)
	unreleased, err := p.unreleased(ctx)
	if err == nil && len(unreleased) > 0 {
		all = append(all, lack{"dependencies", "nobody has released, as far as is known here: " + quotedList(unreleased),
			"es sync, if they are released; otherwise es installs your module only where its user has them from npm", false})
	}
	return all, err
}

// elsewhere says where the author wants the package to be, if not with everybody.
func (p *publication) elsewhere(c modules.PublishConfig) []lack {
	var all []lack
	const todo = "take that out of package.json, if everybody may have the package"
	switch {
	case c.Access == "restricted":
		all = append(all, lack{"publishConfig", "access is restricted, and es publishes to everybody", todo, true})
	case c.Access == "" && p.app.npmConfig("access") == "restricted":
		all = append(all, lack{"npm_config_access", "access is restricted, and es publishes to everybody", "unset npm_config_access, if everybody may have the package", true})
	}
	for _, r := range c.Registry {
		// es knows of no registry which is for everybody: the author says so by access.
		if c.Access != "public" {
			all = append(all, lack{"publishConfig", fmt.Sprintf("registry is %q, and es publishes to everybody", r), todo + `; or say "access": "public" there`, true})
		}
	}
	for _, what := range c.Unread {
		all = append(all, lack{"publishConfig", what + ", so that es cannot do what it asks for", "write it as npm reads it, or take it out of package.json", true})
	}
	if c.Directory != "" {
		all = append(all, lack{"publishConfig", fmt.Sprintf("directory is %q, which pnpm publishes; npm and es publish this one", c.Directory), "es publish DIR publishes the other", true})
	}
	return all
}

// buildHint says how what is missing would come about.
func (p *publication) buildHint() string {
	if scripts := p.set.Package.BuildScripts(); len(scripts) > 0 {
		return "build it: npm run " + scripts[0]
	}
	return "build it, or mend package.json; es publish --dry-run lists the files"
}

// maxQuoted is how many of a list a message names.
const maxQuoted = 5

func quotedList(list []string) string {
	rest := len(list) - maxQuoted
	list = slices.Clone(list[:min(len(list), maxQuoted)])
	for i := range list {
		list[i] = safe(list[i])
	}
	if rest > 0 {
		list = append(list, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(list, ", ")
}

// unreleased returns the dependencies of the module that nobody has released, as
// "name" or, when the range has no version, "name@range".
func (p *publication) unreleased(ctx context.Context) ([]string, error) {
	if p.home == nil {
		return nil, nil
	}
	var missing []string
	deps := p.set.Dependencies()
	foreign := p.set.Foreign()
	for _, name := range sortedNames(deps) {
		spec, real := strings.TrimSpace(deps[name]), name
		if slices.ContainsFunc(foreign, func(f modules.Foreign) bool { return f.Name == name }) {
			continue
		}
		if alias, ok := strings.CutPrefix(spec, "npm:"); ok {
			real, spec, _ = strings.Cut(alias, "@")
			if real == "" { // a scope
				real, spec, _ = strings.Cut(strings.TrimPrefix(alias, "@"), "@")
				real = "@" + real
			}
		}
		n, err := records.ParseName(real)
		if err != nil {
			missing = append(missing, real)
			continue
		}
		all, err := p.home.Index().Releases(ctx, n)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(r index.Release) bool { return r.Void != "" })
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

// isPrivate refuses a package that its author does not want published.
func isPrivate(pkg *modules.PackageJSON) error {
	r := &refusal{kind: private, code: exitFailed, about: pkg.String(), meaning: meanings[private]}
	r.err = errors.New(`package.json says "private" of ` + r.about)
	r.next = []string{`take "private" out of package.json, if everybody may have the package for ever`}
	return r
}

// unpackable explains why a package is not packed: the user's own files break a rule,
// and nobody sent anything wrong.
func unpackable(dir string, err error) error {
	var secrets *modules.SecretError
	if !errors.As(err, &secrets) {
		return coded(exitFailed, err)
	}
	r := &refusal{kind: secret, code: exitFailed, about: secrets.Secrets[0].Path, meaning: meanings[secret], err: err}
	own := false
	for i, s := range secrets.Secrets {
		if i == maxClaims {
			r.add("and", "%d more", len(secrets.Secrets)-i)
			break
		}
		r.add("file", "%s: %s", s.Path, s.What)
		own = own || s.Own
	}
	out := secrets.Secrets[0].Path
	if own {
		top, _, below := strings.Cut(out, "/")
		if out = top; below {
			out += "/"
		}
	}
	r.next = []string{leaveOut(dir, out)}
	if own {
		r.next = append(r.next, "or keep the home of es outside of the package: ES_HOME, --home")
	} else {
		r.next = append(r.next, "es publish --allow-secret "+shellWord(secrets.Secrets[0].Path)+"   (if everybody may have it, as a key for tests)")
	}
	return r
}

// leaveOut says how a path is kept out of a package. npm reads the first of three.
func leaveOut(dir, out string) string {
	if b, err := os.ReadFile(filepath.Join(dir, "package.json")); err == nil {
		if p, err := modules.ParsePackageJSON(b); err == nil && p.ListsFiles() {
			return `take what holds ` + shellWord(out) + ` out of "files" in package.json, or add ` + shellWord("!"+out)
		}
	}
	file := ".npmignore"
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		if _, err := os.Stat(filepath.Join(dir, ".gitignore")); err == nil {
			file = ".gitignore"
		}
	}
	return "echo " + shellWord("/"+out) + " >> " + shellWord(filepath.Join(dir, file)) + "   (leaves it out)"
}

// allowSecrets lets the named secrets in, but for keys of the home's own.
func (a *app) allowSecrets(ctx context.Context, h *node.Home, dir string, set *modules.FileSet, paths []string) error {
	if err := set.Protect(paths...); err != nil {
		return coded(exitUsage, fmt.Errorf("--allow-secret: %w", err), "es publish --dry-run lists the files")
	}
	if h == nil {
		return nil
	}
	keys, err := h.Keys(ctx)
	if err != nil {
		return err
	}
	for _, p := range paths {
		b, err := a.readFile(ctx, filepath.Join(dir, p))
		if err != nil {
			return err
		}
		k, err := sign.ReadKey(b)
		for _, own := range keys {
			stored, _ := h.SecretFile(own.Fingerprint()) // gpg's are not here
			if err == nil && k.Fingerprint() == own.Fingerprint() || len(stored) > 0 && bytes.Contains(b, bytes.TrimSpace(stored)) {
				return unpackable(dir, &modules.SecretError{Secrets: []modules.Secret{{Path: p, What: "the secret of your own key " + own.Fingerprint().String(), Own: true}}})
			}
		}
	}
	return nil
}
