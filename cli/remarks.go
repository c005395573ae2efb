package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A remark is what there is to know about an installed version.
type remark struct {
	what     string // name@version
	decision trust.Decision
	trust.Applying
}

// aboutJSON is a notice with the package that it is about.
type aboutJSON struct {
	Package string `json:"package"`
	noticeJSON
}

func (r *remark) describe() []aboutJSON {
	var all []aboutJSON
	for _, n := range slices.Concat(r.Yanked, r.Deprecated, r.Advisories) {
		all = append(all, aboutJSON{r.what, describeNotice(n)})
	}
	return all
}

func describeNotice(n trust.Notice) noticeJSON {
	return noticeJSON{Kind: n.Kind, Range: n.Range, Text: n.Text, Severity: n.Severity, Fixed: n.Fixed, Refs: n.Refs, Author: n.Author}
}

// remark shows what there is to know about a version; advisories are left out
// where they are told otherwise.
func (a *app) remark(r remark, advisories bool) {
	for _, x := range r.Yanked {
		a.Warn("%s is yanked: %s", r.what, ui.Safe(x.Text))
	}
	for _, x := range r.Deprecated {
		a.Warn("%s is deprecated: %s", r.what, ui.Safe(x.Text))
	}
	if advisories {
		for _, x := range r.Advisories {
			a.Warn("advisory about %s: %s", r.what, advisoryText(x))
		}
	}
	for _, w := range r.decision.Warnings {
		if text := warningText(w); text != "" {
			a.Warn("%s: %s", r.what, text)
		}
	}
}

func advisoryText(n trust.Notice) string {
	text := ui.Safe(n.Text)
	if n.Severity != "" {
		text += " (" + ui.Safe(n.Severity) + ")"
	}
	if n.Fixed != "" {
		text += "; fixed in " + ui.Safe(n.Fixed)
	}
	if len(n.Refs) > 0 {
		text += "; " + ui.Safe(strings.Join(n.Refs, ", "))
	}
	return text + "; says " + n.Author.String()
}

func warningText(w trust.Warning) string {
	switch w.Kind {
	case trust.WarnCooldown:
		return fmt.Sprintf("known here only since %s; min-age holds it until %s", w.Since.Format("2006-01-02 15:04"), w.Until.Format("2006-01-02 15:04"))
	case trust.WarnBackdated:
		return fmt.Sprintf("key %s ended on %s, and this record of it came here long after, dated %s", w.Key, w.Until.Format(time.DateOnly), w.Since.Format(time.DateOnly))
	case trust.WarnSucceeded:
		if w.Followed {
			return ""
		}
		return fmt.Sprintf("key %s names a successor, which you do not follow: es trust add %s ...", w.Key, joinKeys(w.Others))
	case trust.WarnEquivocated:
		return fmt.Sprintf("key %s has signed two modules as one version of something else", w.Key)
	case trust.WarnBackdatedGrant:
		return fmt.Sprintf("key %s ended, and a record of it that lets %s speak came here long after, dated %s: it does not count (if you know that it is genuine: es trust add %s ...)",
			w.Key, joinKeys(w.Others), w.Since.Format(time.DateOnly), joinKeys(w.Others))
	case trust.WarnContradicts:
		return fmt.Sprintf("key %s endorses one module and names another", w.Key)
	}
	return ""
}

func joinKeys(keys []records.Fingerprint) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.String())
	}
	return strings.Join(all, " or ")
}

// remarks finds what is to be known about what an installation has put in place
// and, with all set, about everything that is there.
func (w *work) remarks(ctx context.Context, touched map[string]bool, all bool) ([]remark, error) {
	lock, err := w.project.Lockfile()
	if err != nil || lock == nil {
		return nil, err
	}
	var found []remark
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[path]
		what := packageText(p)
		if p.Version == "" || seen[what] || !all && !touched[what] {
			continue
		}
		seen[what] = true
		d, notices, err := resolve.New(w.home.Index()).About(ctx, p.Name, p.Version, w.view)
		if err != nil {
			return nil, err
		}
		found = append(found, remark{what, d, notices})
	}
	return found, nil
}

// audit refuses to be content when a key that counts warns of what is installed.
func (w witness) audit(remarks []remark) error {
	r := &ui.Refusal{Kind: advisory, Code: ui.ExitFailed, Meaning: meanings[advisory]}
	n := int64(0)
	for _, x := range remarks {
		if len(x.Advisories) == 0 {
			continue
		}
		n++
		r.Add("package", "%s", x.what)
		for _, notice := range x.Advisories {
			r.Add("advisory", "%s", advisoryText(notice))
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

// heldHints say how to take a version that is not chosen unasked.
func heldHints(d trust.Decision) []string {
	exact := fmt.Sprintf("%s@%s", d.Name, d.Version)
	if d.Hold == trust.Backdated {
		return []string{
			"es info " + string(d.Name) + " shows when it came and when its key ended",
			fmt.Sprintf("es trust pin %s %s   (if you are sure that it is not dated back)", exact, d.Module),
		}
	}
	return []string{fmt.Sprintf("es add %s takes it all the same", exact)}
}
