package projectcmd

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/trust"
)

// An annotation is what there is to know about an installed version.
type annotation struct {
	what     string // name@version
	decision trust.Decision
	trust.VersionNotices
}

// aboutJSON is a notice with the package that it is about.
type aboutJSON struct {
	Package string `json:"package"`
	cli.NoticeJSON
}

func (r *annotation) describe() []aboutJSON {
	var all []aboutJSON
	for _, n := range slices.Concat(r.Yanked, r.Deprecated, r.Advisories) {
		all = append(all, aboutJSON{r.what, cli.DescribeNotice(n)})
	}
	return all
}

// showAnnotation shows what there is to know about a version; advisories are left out
// where they are told otherwise.
func showAnnotation(a cli.App, r annotation, advisories bool) {
	for _, x := range r.Yanked {
		a.Warn("%s is yanked: %s", r.what, ui.Safe(x.Text))
	}
	for _, x := range r.Deprecated {
		a.Warn("%s is deprecated: %s", r.what, ui.Safe(x.Text))
	}
	if advisories {
		for _, x := range r.Advisories {
			a.Warn("advisory about %s: %s", r.what, cli.AdvisoryText(x))
		}
	}
	for _, w := range r.decision.Warnings {
		if text := cli.WarningText(w); text != "" {
			a.Warn("%s: %s", r.what, text)
		}
	}
}

// annotations finds what is to be known about what an installation has put in place
// and, with all set, about everything that is there.
func (w *session) annotations(ctx context.Context, touched map[string]bool, all bool) ([]annotation, error) {
	lock, err := w.project.Lockfile()
	if err != nil || lock == nil {
		return nil, err
	}
	var found []annotation
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[path]
		what := packageText(p)
		if p.Version == "" || seen[what] || !all && !touched[what] {
			continue
		}
		seen[what] = true
		d, notices, err := resolve.New(w.home.Index()).DecideWithNotices(ctx, p.Name, p.Version, w.evaluator)
		if err != nil {
			return nil, err
		}
		found = append(found, annotation{what, d, notices})
	}
	return found, nil
}

// audit refuses to be content when a key that counts warns of what is installed.
func audit(annotations []annotation) error {
	r := &ui.Refusal{Kind: cli.Advisory, Code: ui.ExitFailed, Meaning: cli.Meanings[cli.Advisory]}
	n := int64(0)
	for _, x := range annotations {
		if len(x.Advisories) == 0 {
			continue
		}
		n++
		r.Add("package", "%s", x.what)
		for _, notice := range x.Advisories {
			r.Add("advisory", "%s", cli.AdvisoryText(notice))
		}
		r.Next = append(r.Next, "es update "+string(x.decision.Name))
	}
	if n == 0 {
		return nil
	}
	r.About = ui.Plural(n, "installed package")
	r.Err = errors.New(r.About + " with a security advisory by a key that you believe")
	return r
}
