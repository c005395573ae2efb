package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// remark shows what there is to know beside a version that was chosen.
func (a *app) remark(what string, d trust.Decision, n trust.Applying) {
	for _, x := range n.Yanked {
		a.warn("%s is yanked: %s", what, safe(x.Text))
	}
	for _, x := range n.Deprecated {
		a.warn("%s is deprecated: %s", what, safe(x.Text))
	}
	for _, x := range n.Advisories {
		a.warn("%s", advisoryText(what, x))
	}
	for _, w := range d.Warnings {
		if text := warningText(w); text != "" {
			a.warn("%s: %s", what, text)
		}
	}
}

func advisoryText(what string, n trust.Notice) string {
	text := "advisory about " + what
	if n.Severity != "" {
		text += " (" + safe(n.Severity) + ")"
	}
	text += ": " + safe(n.Text)
	if n.Fixed != "" {
		text += "; fixed in " + safe(n.Fixed)
	}
	if len(n.Refs) > 0 {
		text += "; " + safe(strings.Join(n.Refs, ", "))
	}
	return text + "; says " + n.Author.String()
}

func warningText(w trust.Warning) string {
	switch w.Kind {
	case trust.WarnCooldown:
		return fmt.Sprintf("known here only since %s; min-age holds it until %s", w.Since.Format("2006-01-02 15:04"), w.Until.Format("2006-01-02 15:04"))
	case trust.WarnLate:
		return fmt.Sprintf("key %s ended on %s, and this record of it came here long after, dated %s", w.Key, w.Until.Format(time.DateOnly), w.Since.Format(time.DateOnly))
	case trust.WarnSucceeded:
		if w.Followed {
			return ""
		}
		return fmt.Sprintf("key %s names a successor, which you do not follow: es trust add %s ...", w.Key, joinKeys(w.Others))
	case trust.WarnEquivocated:
		return fmt.Sprintf("key %s has signed two modules as one version of something else", w.Key)
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

// remarks shows what is to be known about what an installation has put in place
// and, with all set, about everything that is there. It returns how many packages
// have an advisory that counts.
func (a *app) remarks(ctx context.Context, w *work, view *trust.View, touched map[string]bool, all bool) (advised int, err error) {
	lock, err := w.project.Lockfile()
	if err != nil || lock == nil {
		return 0, err
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[path]
		what := packageText(p)
		if p.Version == "" || seen[what] || !all && !touched[what] {
			continue
		}
		seen[what] = true
		d, notices, err := w.home.Index().About(ctx, p.Name, p.Version, view)
		if err != nil {
			return advised, err
		}
		a.remark(what, d, notices)
		if len(notices.Advisories) > 0 {
			advised++
		}
	}
	return advised, nil
}

// errAdvised ends an installation with --audit when an advisory counts.
func errAdvised(n int) error {
	return errors.New(plural(int64(n), "installed package") + " with a security advisory by a key that you believe")
}

// heldHints say how to take a version that is not chosen unasked.
func heldHints(e *index.HeldError) []string {
	exact := fmt.Sprintf("%s@%s", e.Name, e.Version)
	if e.Decision.Hold == trust.Late {
		return []string{
			"es info " + string(e.Name) + " shows when it came and when its key ended",
			fmt.Sprintf("es trust pin %s %s   (if you are sure that it is not dated back)", exact, e.Decision.Module),
		}
	}
	return []string{fmt.Sprintf("es add %s takes it all the same", exact)}
}
