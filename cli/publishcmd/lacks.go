package publishcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node/home"
)

// npmConfig is what npm is configured with by the environment: npm sets it for the
// scripts that it runs, and reads it from whoever runs npm.
func npmConfig(a cli.App, key string) string {
	for _, name := range []string{"npm_config_" + key, "NPM_CONFIG_" + strings.ToUpper(key)} {
		if v := a.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// npmFlag reports whether npm's configuration has a flag set.
func npmFlag(a cli.App, key string) bool {
	v := strings.ToLower(npmConfig(a, key))
	return v != "" && v != "false" && v != "0" && v != "null"
}

// tellLacks says what the package lacks. With somebody at the terminal it asks whether
// to go on; without, it refuses what stops, unless --yes was given. h is nil where there is
// no home, and by where it has no key.
func tellLacks(ctx context.Context, a cli.App, h *home.Home, by *author.Author, set *modules.FileSet, o publishOptions) error {
	about := set.Package.String()
	for _, w := range set.Warnings {
		a.Warn("%s: %s", ui.Safe(w.Path), ui.Safe(w.Reason))
	}
	var known author.Releases
	if h != nil {
		known = h.Index()
	}
	lacks, err := author.Lacks(ctx, set, known, author.LackOptions{Access: npmConfig(a, "access"), Built: a.Getenv("npm_command") == "publish"})
	if err != nil {
		return err
	}
	if by != nil {
		withdrawn, err := by.Withdrawals(ctx, set.Package.Name, set.Package.Version)
		if err != nil {
			return err
		}
		lacks = append(lacks, withdrawn...)
	}
	r := &ui.Refusal{Kind: cli.NotReady, Code: ui.ExitFailed, About: about, Meaning: cli.Meanings[cli.NotReady], Err: errors.New(about + " is not ready to be published")}
	for _, l := range lacks {
		if l.Stops {
			text, todo := lackText(l, set.Package)
			r.Add(l.Field, "%s", text)
			if !slices.Contains(r.Next, todo) {
				r.Next = append(r.Next, todo)
			}
		}
	}
	asks := a.Asks && !o.yes && !o.dryRun
	for _, l := range lacks {
		if l.Stops && !asks && !o.yes {
			continue // the refusal has it
		}
		text, todo := lackText(l, set.Package)
		a.Warn("%s: %s", l.Field, ui.Safe(text))
		a.Hint("%s", todo)
	}
	if len(r.Facts) > 0 && !asks && !o.yes {
		r.Next = append(r.Next, "es publish --yes publishes it all the same")
		return r
	}
	if !asks || len(lacks) == 0 && len(set.Warnings) == 0 {
		return nil
	}
	ok, err := a.Ask(ctx, "Sign and publish "+about+" all the same, for ever?", o.yes, "--yes")
	if err == nil && !ok {
		err = errors.New("nothing was signed or published")
	}
	return err
}

// lackText says what a package lacks, and what to do about it.
func lackText(l author.Lack, pkg *modules.PackageJSON) (text, todo string) {
	const everybody = "take that out of package.json, if everybody may have the package"
	switch l.Kind {
	case author.MissingFile:
		return fmt.Sprintf("%q is not in the module", l.Value), buildHint(pkg)
	case author.UnlistedFiles:
		return "nothing in the module is named by " + quotedList(l.Values), buildHint(pkg)
	case author.UnrunScripts:
		return "es runs none of them, so these did not run: " + strings.Join(l.Values, ", "), "npm run " + l.Values[0] + ", unless what it makes is up to date"
	case author.ForeignDependency:
		f := l.Foreign
		text = fmt.Sprintf("%s is %q, which es can never install: it is %s", f.Name, f.Spec, f.Kind)
		if strings.HasPrefix(f.Kind, "replaced") {
			return text, "write the version of " + f.Name + " into package.json before es publish"
		}
		return text, "release " + f.Name + " with es and depend on a version of it, or name it in bundleDependencies"
	case author.RestrictedAccess:
		text = "access is restricted, and es publishes to everybody"
		if l.Field == "npm_config_access" {
			return text, "unset npm_config_access, if everybody may have the package"
		}
		return text, everybody
	case author.OtherRegistry:
		return fmt.Sprintf("registry is %q, and es publishes to everybody", l.Value), everybody + `; or say "access": "public" there`
	case author.UnreadConfig:
		return l.Value + ", so that es cannot do what it asks for", "write it as npm reads it, or take it out of package.json"
	case author.OtherDirectory:
		return fmt.Sprintf("directory is %q, which pnpm publishes; npm and es publish this one", l.Value), "es publish DIR publishes the other"
	case author.OtherFields:
		return fmt.Sprintf("%s there, which pnpm and yarn publish in place of what package.json has; npm and es do not", quotedList(l.Values)),
			"write it into package.json itself before es publish"
	case author.YankedBefore:
		return fmt.Sprintf("your key has yanked %s, and so this version: es add passes over it", withdrawnText(pkg, l)), "es yank --undo " + withdrawnText(pkg, l)
	case author.DeprecatedBefore:
		return fmt.Sprintf("your key deprecates %s, and so this version", withdrawnText(pkg, l)), "es deprecate --undo " + withdrawnText(pkg, l)
	case author.Unreleased:
		return "nobody has released, as far as is known here: " + quotedList(l.Values),
			"es sync, if they are released; otherwise es installs your module only where its user has them from npm"
	}
	return l.Value, buildHint(pkg)
}

// withdrawnText is what a notice of the key is about, as a command takes it.
func withdrawnText(pkg *modules.PackageJSON, l author.Lack) string {
	return string(pkg.Name) + "@" + ui.ShellWord(l.Value)
}

// buildHint says how what is missing would come about.
func buildHint(pkg *modules.PackageJSON) string {
	if scripts := pkg.BuildScripts(); len(scripts) > 0 {
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
		list[i] = ui.Safe(list[i])
	}
	if rest > 0 {
		list = append(list, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(list, ", ")
}

// unpackable explains why a package is not packed: the user's own files break a rule,
// and nobody sent anything wrong.
func unpackable(dir string, err error) error {
	var secrets *modules.SecretError
	if !errors.As(err, &secrets) {
		return ui.Coded(ui.ExitFailed, err)
	}
	r := &ui.Refusal{Kind: cli.Secret, Code: ui.ExitFailed, About: secrets.Secrets[0].Path, Meaning: cli.Meanings[cli.Secret], Err: err}
	own := false
	for i, s := range secrets.Secrets {
		if i == cli.MaxClaims {
			r.Add("and", "%d more", len(secrets.Secrets)-i)
			break
		}
		r.Add("file", "%s: %s", s.Path, s.Kind)
		own = own || s.OfES
	}
	out := secrets.Secrets[0].Path
	if own {
		top, _, below := strings.Cut(out, "/")
		if out = top; below {
			out += "/"
		}
	}
	r.Next = []string{leaveOut(dir, out)}
	if own {
		r.Next = append(r.Next, "or keep the home of es outside of the package: ES_HOME, --home")
	} else {
		r.Next = append(r.Next, "es publish --allow-secret "+ui.ShellWord(secrets.Secrets[0].Path)+"   (if everybody may have it, as a key for tests)")
	}
	return r
}

// leaveOut says how a path is kept out of a package. npm reads the first of three.
func leaveOut(dir, out string) string {
	if b, err := regularfile.Read(filepath.Join(dir, "package.json"), modules.MaxPackageJSON); err == nil {
		if p, err := modules.ParsePackageJSON(b); err == nil && p.ListsFiles() {
			return `take what holds ` + ui.ShellWord(out) + ` out of "files" in package.json, or add ` + ui.ShellWord("!"+out)
		}
	}
	file := ".npmignore"
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		if _, err := os.Stat(filepath.Join(dir, ".gitignore")); err == nil {
			file = ".gitignore"
		}
	}
	return "echo " + ui.ShellWord("/"+out) + " >> " + ui.ShellWord(filepath.Join(dir, file)) + "   (leaves it out)"
}

// allowSecrets lets the named secrets in, but for keys of the home's own.
func allowSecrets(ctx context.Context, a cli.App, h *home.Home, dir string, set *modules.FileSet, paths []string) error {
	if err := set.RefuseSecrets(paths...); err != nil {
		return ui.Coded(ui.ExitUsage, fmt.Errorf("--allow-secret: %w", err), "es publish --dry-run lists the files")
	}
	if h == nil {
		return nil
	}
	keys, err := h.Keys(ctx)
	if err != nil {
		return err
	}
	var own []author.OwnSecret
	for _, k := range keys {
		file, _ := h.SecretFile(k.Fingerprint()) // gpg's are not here
		own = append(own, author.OwnSecret{Key: k.Fingerprint(), File: file})
	}
	for _, p := range paths {
		b, err := a.ReadFile(ctx, filepath.Join(dir, p))
		if err != nil {
			return err
		}
		if key, ok := author.HoldsSecret(b, own); ok {
			return unpackable(dir, &modules.SecretError{Secrets: []modules.Secret{{Path: p, Kind: "the secret of your own key " + key.String(), OfES: true}}})
		}
	}
	return nil
}
