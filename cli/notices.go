package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// NoticeJSON is a notice as --json prints it.
type NoticeJSON struct {
	Kind     string              `json:"kind"`
	Range    string              `json:"range,omitempty"`
	Record   string              `json:"record,omitempty"`
	Text     string              `json:"text"`
	Severity string              `json:"severity,omitempty"`
	Fixed    string              `json:"fixed,omitempty"`
	Refs     []string            `json:"refs,omitempty"`
	Author   records.Fingerprint `json:"author"`
}

// pinHints shows what each side of a conflict says, as the command that takes it.
func pinHints(name records.Name, v records.Version, d trust.Decision) []string {
	var hints []string
	seen := map[cid.Cid]bool{}
	for _, c := range d.Claims {
		if c.Effect == trust.Counts && !seen[c.Module] {
			seen[c.Module] = true
			hints = append(hints, fmt.Sprintf("es trust pin %s@%s %s   (as %s says)", name, v, c.Module, c.Author))
		}
	}
	return hints
}

// DescribeNotice makes what --json prints of a notice.
func DescribeNotice(n trust.Notice) NoticeJSON {
	return NoticeJSON{Kind: n.Kind, Range: n.Range, Text: n.Text, Severity: n.Severity, Fixed: n.Fixed, Refs: n.Refs, Author: n.Author}
}

// AdvisoryText is an advisory on one line, with who says it.
func AdvisoryText(n trust.Notice) string {
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

// WarningText says what trust warns of; "" for what needs no saying.
func WarningText(w trust.Warning) string {
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

// HeldHints say how to take a version that is not chosen unasked.
func HeldHints(d trust.Decision) []string {
	exact := fmt.Sprintf("%s@%s", d.Name, d.Version)
	if d.Hold == trust.Backdated {
		return []string{
			"es info " + string(d.Name) + " shows when it came and when its key ended",
			fmt.Sprintf("es trust pin %s %s   (if you are sure that it is not dated back)", exact, d.Module),
		}
	}
	return []string{fmt.Sprintf("es add %s takes it all the same", exact)}
}
