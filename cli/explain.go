package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// The kinds of refusals. docs/refusals.md lists them.
const (
	unknownKey       = "unknown-key"
	notTrusted       = "not-trusted"
	tooFew           = "too-few-signatures"
	denied           = "denied"
	pinMismatch      = "pin-mismatch"
	importUnproven   = "import-unproven"
	importDiffers    = "import-differs"
	importUnchecked  = "import-unchecked"
	conflict         = "conflict"
	Frozen           = "frozen"
	revoked          = "revoked"
	backdated        = "backdated"
	tooNew           = "too-new"
	yanked           = "yanked"
	SignerChanged    = "signer-changed"
	FirstUse         = "first-use"
	integrity        = "integrity"
	AlreadyPublished = "already-published"
	Advisory         = "advisory"
	UnknownLog       = "unknown-log"
	NeedsTag         = "needs-tag"
	Private          = "private"
	NotReady         = "not-ready"
	Secret           = "secret"
	KeyExpired       = "key-expired"
	KeyRevoked       = "key-revoked"
)

// What each refusal may mean.
var Meanings = map[string]string{
	unknownKey: `It is signed, and you have not said yet whom you believe about this name.
Anybody can sign any name: compare the fingerprint with one that the author
gave you some other way.`,
	notTrusted: `It is signed, but not by a key that decides about this name. Its author may
have a new key; or somebody uses another's name, so that you install theirs.`,
	tooFew: `Fewer keys than your trust file demands have signed the same module. The
others may not have looked at it yet, or one key was stolen and signs alone.`,
	denied: `Only keys that your trust file denies signed this version.`,
	pinMismatch: `Your trust file says which module this version is, and no release that
counts names that module. Records of it may not have come yet; or the line
is wrong.`,
	importUnproven: `Its author imported it from a registry, and no registry that decides about
this name is known to have signed it: its key is not pinned, or the
signature is missing, wrong, or by a key that had expired. Who imports
something vouches for nothing.`,
	importDiffers: `A registry signed this version, and what is offered as its tarball, or as
made of it, is something else. Whoever imported it made a mistake or lies;
the imports of others were tried too.`,
	importUnchecked: `A registry signed this version, and nobody who was asked has its tarball:
what was made of it cannot be checked without.`,
	conflict: `Keys that decide about this name signed different modules as one version.
One of them may be mistaken, or stolen, or built something else. es never
picks one by time or by who came first.`,
	Frozen: `One key signed different modules as the same version. Its owner made a
mistake, or somebody else has the key, or two groups of people were to get
two different things. The version is frozen for everybody who sees both, for
good; what a lockfile has of it still installs.`,
	revoked: `Its author revoked the key, and with it what the key had signed: it may have
been stolen. What a lockfile has of it still installs with --frozen.`,
	backdated: `The record is dated before the key ended, and came here more than a week
after that. It may have been on its way for so long; or somebody who has the
old key signs with a date of the past.`,
	tooNew: `min-age in your trust file makes new versions wait, so that others find out
first what is wrong with them.`,
	yanked: `Its author asks not to use this version.`,
	SignerChanged: `A key that never signed this name in es-lock.json signs it now. The module
may have a new maintainer, or its author a new key; or somebody took it
over, or uses another's name. Ask the one who signed before.`,
	FirstUse: `Your trust lets in what this signs, and you have not let it into this
project before. Compare the fingerprint with one that its owner gave you
some other way.`,
	integrity: `The module is not what its signed record says, or not what es-lock.json
says. Whoever signed the record made it so, or the file was changed since.`,
	Advisory: `A key that decides about the name warns of what is installed here. es update
takes a newer version where package.json allows one.`,
	UnknownLog: `Another home, on another machine or lost, may have released with this key
what is not known here. Signing one of its versions as something else
freezes the version for everybody, for ever. Nothing was signed or
published.`,
	NeedsTag: `latest is what everybody gets who asks for no version. It moves to an older
version or to a pre-release only when you say so. Nothing was signed or
published.`,
	Private: `Its author does not want it published, and what is published can never be
taken back. Nothing was signed or published.`,
	NotReady: `What is published can never be changed or taken back. Nothing was signed or
published.`,
	Secret: `Whatever is published, everybody can read, for ever. Nothing was signed or
published.`,
	KeyExpired: `Whatever it signed now, nobody would believe. Nothing was signed or
published.`,
	KeyRevoked: `Whatever it signed now, nobody would believe. Nothing was signed or
published.`,
	AlreadyPublished: `A version never changes. Signing both would be a proof against your key, and
freeze the version for everybody.`,
}

// An explainer knows the names of keys, for telling why something was refused.
type Explainer struct {
	home      *home.Home
	evaluator *trust.Evaluator
}

// NewExplainer returns what tells of keys as the user believes them.
func NewExplainer(h *home.Home, evaluator *trust.Evaluator) Explainer {
	return Explainer{h, evaluator}
}

// Who writes a key with what is known of its owner.
func (ex Explainer) Who(ctx context.Context, key records.Fingerprint) string {
	var notes []string
	if label := ex.evaluator.Label(key); label != "" {
		notes = append(notes, label)
	}
	if registry := ex.evaluator.Registry(key); registry != "" {
		return fmt.Sprintf("%s (%s)", key, strings.Join(append(notes, "of the registry "+registry), ", "))
	}
	k, err := ex.home.Index().Key(ctx, key)
	switch {
	case err != nil || k == nil:
		notes = append(notes, "its key is not here")
	default:
		notes = append(notes, "says "+ui.UIDText(k.UserID()))
		if r, ok := k.Revocation(); ok {
			notes = append(notes, "revoked on "+r.At.UTC().Format(time.DateOnly))
		}
	}
	return fmt.Sprintf("%s (%s)", key, strings.Join(notes, ", "))
}

// Refused makes a refusal of err when it is one of package index or install;
// others come back as they are.
func (ex Explainer) Refused(ctx context.Context, err error) error {
	var (
		untrusted   *resolve.UntrustedError
		conflicting *resolve.ConflictError
		held        *resolve.HeldError
		equivocated *resolve.EquivocationError
		notFound    *resolve.NotFoundError
		damaged     *install.IntegrityError
	)
	r := &ui.Refusal{Err: err, Code: ui.ExitTrust}
	var d trust.Decision
	switch {
	case errors.As(err, &untrusted):
		d = untrusted.Decision
		ex.untrusted(ctx, r, untrusted)
	case errors.As(err, &conflicting):
		d, r.Kind = conflicting.Decision, conflict
		r.Next = append(pinHints(d.Name, d.Version, d), whyHint(d))
	case errors.As(err, &held):
		d, r.Next = held.Decision, HeldHints(held.Decision)
		ex.held(ctx, r, held)
	case errors.As(err, &equivocated) && equivocated.Decision.Name != "":
		d, r.Kind, r.Code = equivocated.Decision, Frozen, ui.ExitIntegrity
		exact := fmt.Sprintf("%s@%s", d.Name, d.Version)
		r.Next = []string{"es info " + string(d.Name) + " shows the versions that are not frozen", "es why " + exact + " --proof proof writes both records, for gpg --verify"}
	case errors.As(err, &notFound) && notFound.Invalid != nil:
		d, r.Kind, r.Code = *notFound.Invalid, revoked, ui.ExitNotFound
		r.Next = []string{whyHint(d) + " shows who", "es info " + string(d.Name) + " shows other versions, and who else signs them"}
	case errors.As(err, &damaged):
		return ex.damaged(ctx, r, damaged)
	default:
		return err
	}
	r.About = fmt.Sprintf("%s@%s", d.Name, d.Version)
	if held == nil {
		reason := d.Reason
		if r.Kind == unknownKey && d.Rule.Scope != "" {
			reason = "no line of the trust file speaks of this name, and no key of your own signed it"
		}
		r.Facts = append([]ui.Fact{{Label: "because", Value: ui.Safe(reason)}}, r.Facts...)
	}
	if held == nil {
		ex.claims(ctx, r, d)
	}
	ex.rule(ctx, r, d)
	neededBy(r, err)
	r.Meaning = Meanings[r.Kind] + "\nNothing was installed."
	return r
}

func (ex Explainer) untrusted(ctx context.Context, r *ui.Refusal, e *resolve.UntrustedError) {
	d := e.Decision
	switch {
	case d.State == trust.Denied:
		r.Kind, r.Next = denied, untrustedHints(e)
	case d.Pin != 0:
		r.Kind = pinMismatch
		r.Next = []string{fmt.Sprintf("es trust pin %s@%s --remove", d.Name, d.Version)}
	case d.Rule.Threshold > 1 && slices.ContainsFunc(d.Claims, func(c trust.Verdict) bool { return c.Effect == trust.Counts }):
		r.Kind = tooFew
		r.Add("needed", "%d keys, by %s", d.Rule.Threshold, lineText(d.Rule.ThresholdLine, false))
	case hasEffect(d, trust.Differing) || hasEffect(d, trust.Unchecked):
		r.Kind, r.Code = importDiffers, ui.ExitIntegrity
		if !hasEffect(d, trust.Differing) && !slices.ContainsFunc(d.Claims, func(c trust.Verdict) bool { return c.Failed != nil && c.Failed.Wrong }) {
			r.Kind, r.Code = importUnchecked, ui.ExitUnreachable
		}
	case hasEffect(d, trust.Imported):
		r.Kind = importUnproven
		if !slices.ContainsFunc(d.Rule.Keys, func(g trust.Grant) bool { return ex.evaluator.Registry(g.Key) != "" }) {
			r.Next = []string{"es trust add npm " + string(d.Name) + "   (believes the registry that npm is configured for)"}
		}
	case ownAlone(d.Rule):
		r.Kind, r.Next = unknownKey, untrustedHints(e)
	default:
		r.Kind, r.Next = notTrusted, renewals(d)
	}
	r.Next = append(r.Next, whyHint(d)+" shows what would change that")
	if r.Kind == notTrusted && len(r.Next) == 1 {
		r.Next = append(r.Next, "es trust list shows whom you believe, and for which names")
	}
}

func hasEffect(d trust.Decision, effect trust.Effect) bool {
	return slices.ContainsFunc(d.Claims, func(c trust.Verdict) bool { return c.Effect == effect })
}

// ownAlone reports whether no line of a trust file speaks of the name: then nobody decides
// about it, or the user's own keys do because nobody else does.
func ownAlone(r trust.Rule) bool {
	return r.Scope == "" || !slices.ContainsFunc(r.Keys, func(g trust.Grant) bool { return g.Line != 0 })
}

// renewals lead on where the user believed a key that is over now. Whoever else
// signed the name is not offered: it may be somebody who uses another's name.
func renewals(d trust.Decision) []string {
	var next []string
	for _, c := range d.Claims {
		if c.Effect == trust.Expired && !c.Project {
			next = append(next, fmt.Sprintf("es trust add %s %s --until DAY", c.Author, ui.ShellWord(string(d.Rule.Scope))))
		}
		for _, s := range d.Rule.Succeeded {
			if !s.Followed && !s.Project && s.Line != 0 && slices.Contains(s.By, c.Author) {
				next = append(next, fmt.Sprintf("es trust add %s %s --follow   (both keys say that %s succeeds it)", s.Key, ui.ShellWord(string(d.Rule.Scope)), c.Author))
			}
		}
	}
	return slices.Compact(next)
}

func (ex Explainer) held(ctx context.Context, r *ui.Refusal, e *resolve.HeldError) {
	d := e.Decision
	r.Add("module", "%s", d.Module)
	switch {
	case d.Hold == trust.Backdated:
		r.Kind = backdated
		for _, x := range d.Warnings {
			if x.Kind == trust.WarnBackdated {
				r.Add("dated", "%s, by %s", x.Since.UTC().Format(time.DateTime), ex.Who(ctx, x.Key))
				r.Add("key ended", "%s", x.Until.UTC().Format(time.DateTime))
				r.Add("came here", "%s", firstSeen(d, x.Record).Format(time.DateTime))
			}
		}
	case d.Hold == trust.Cooldown:
		r.Kind = tooNew
		for _, x := range d.Warnings {
			if x.Kind == trust.WarnCooldown {
				r.Add("here since", "%s", x.Since.UTC().Format(time.DateTime))
				r.Add("held until", "%s", x.Until.UTC().Format(time.DateTime))
			}
		}
		r.Add("signed by", "%s", ex.Who(ctx, d.Signer))
	default:
		r.Kind = yanked
		for _, n := range e.Yanked {
			r.Add("yanked by", "%s: %s", ex.Who(ctx, n.Author), n.Text)
		}
	}
}

func firstSeen(d trust.Decision, record cid.Cid) time.Time {
	for _, c := range d.Claims {
		if c.Record == record {
			return c.FirstSeen.UTC()
		}
	}
	return time.Time{}
}

// MaxClaims is how many claims a refusal shows: keys cost nothing.
const MaxClaims = 6

// claims shows who says which module the version is.
func (ex Explainer) claims(ctx context.Context, r *ui.Refusal, d trust.Decision) {
	shown := 0
	var done []cid.Cid
	for _, first := range d.Claims {
		if slices.Contains(done, first.Module) || shown == MaxClaims {
			continue
		}
		done = append(done, first.Module)
		r.Add("module", "%s", first.Module)
		for _, c := range d.Claims {
			if c.Module != first.Module || shown == MaxClaims {
				continue
			}
			shown++
			label := "signed by"
			if c.Endorse != "" {
				label = "endorsed by"
			}
			r.Add(label, "%s: %s", ex.Who(ctx, c.Author), effectText(c))
		}
	}
	if rest := len(d.Claims) - shown; rest > 0 {
		r.Add("and", "%d more, which es why %s@%s shows", rest, d.Name, d.Version)
	}
}

// effectText says what became of a claim.
func effectText(c trust.Verdict) string {
	line := lineText(c.Line, c.Project)
	switch c.Effect {
	case trust.Counts, trust.Equivocating:
		return "decides by " + strings.Join(ViaText(c.Via), ", ")
	case trust.NotListed:
		return "no line gives it this name"
	case trust.Overruled:
		return line + " gives it a broader scope, which a narrower one overrules"
	case trust.Expired:
		return line + " is past its last day"
	case trust.ByDenied:
		return line + " denies it"
	case trust.InvalidSignature:
		return c.Invalid
	case trust.Pinned:
		return line + " pins this module"
	case trust.NotPinned:
		return line + " pins another module"
	case trust.Retracted:
		return "took that back"
	case trust.Contradicting:
		return "contradicts itself"
	case trust.Imported, trust.Unchecked, trust.Differing:
		return c.Why
	}
	return c.Effect.String()
}

func lineText(line int, project bool) string {
	switch {
	case line == 0:
		return "a key of your own"
	case project:
		return fmt.Sprintf("line %d of %s", line, trust.ProjectFile)
	}
	return fmt.Sprintf("line %d of the trust file", line)
}

// rule shows who decides about the name.
func (ex Explainer) rule(ctx context.Context, r *ui.Refusal, d trust.Decision) {
	if d.Rule.Scope == "" || r.Kind == unknownKey {
		r.Add("decides", "nobody: no line of %s has this name", ex.home.TrustPath())
		return
	}
	for i, k := range d.Rule.Keys {
		if i == MaxClaims {
			r.Add("and", "%d more", len(d.Rule.Keys)-i)
			return
		}
		over := ""
		if k.Expired {
			over = ", which is past its last day"
		}
		r.Add("decides", "%s: %s for %s%s", ex.Who(ctx, k.Key), lineText(k.Line, k.Project), d.Rule.Scope, over)
	}
}

// neededBy says which package brought the question up.
func neededBy(r *ui.Refusal, err error) {
	var dependency *install.DependencyError
	if errors.As(err, &dependency) && dependency.By != "" {
		r.Add("needed by", "%s, as %s", dependency.By, dependency.Spec)
	}
}

func (ex Explainer) damaged(ctx context.Context, r *ui.Refusal, e *install.IntegrityError) error {
	r.Kind, r.Code, r.About = integrity, ui.ExitIntegrity, string(e.Name)
	r.Add("because", "%s", e.Err)
	r.Add("module", "%s", e.Module)
	if e.Path != "" {
		r.Add("place", "%s", e.Path)
	}
	neededBy(r, r.Err)
	r.Meaning = Meanings[integrity] + "\nNothing was installed."
	r.Next = []string{"es info " + string(e.Name) + " shows who signed what", "es verify checks what is stored here"}
	if errors.As(e.Err, new(*install.SignatureError)) {
		r.Next = append(r.Next, "es update "+string(e.Name)+" resolves it anew")
	}
	return r
}

// whyHint is the command that explains a decision.
func whyHint(d trust.Decision) string { return fmt.Sprintf("es why %s@%s", d.Name, d.Version) }

// ViaText says step by step how a key comes to decide.
func ViaText(steps []trust.Step) []string {
	var out []string
	for _, s := range steps {
		switch s.Kind {
		case trust.ByLine:
			file := "the trust file"
			if s.Project {
				file = trust.ProjectFile
			}
			out = append(out, fmt.Sprintf("line %d of %s", s.Line, file))
		case trust.BySuccession:
			out = append(out, fmt.Sprintf("which names %s as its successor", s.Key))
		case trust.ByDelegation:
			out = append(out, fmt.Sprintf("which delegates to %s", s.Key))
		default:
			out = append(out, "a key of your own")
		}
	}
	return out
}
