// Package guard says whether a release of a registry is let through to npm's clients, by
// what the user has written and given: pins, the age, advisories (docs/program.md section
// 15). It is a pure function of them and of what is known of the release; it fetches and
// stores nothing.
package guard

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
	"github.com/everythingstays/es/trust/authority"
)

// A Release is what is known of a version, also before its tarball is here.
type Release struct {
	Name    string
	Version records.Version
	// Published is when the configured registry says that it came out; zero when it does not.
	Published time.Time
	Seen      time.Time // first here
	Module    cid.Cid   // that the tarball became here; undefined before it is here
}

func (r *Release) String() string { return r.Name + "@" + string(r.Version) }

// Since is when the release's age begins.
func (r *Release) Since() time.Time {
	if !r.Published.IsZero() && r.Published.Before(r.Seen) {
		return r.Published
	}
	return r.Seen
}

// Kind says which rule refuses a release.
type Kind string

const (
	Pinned    Kind = "pin-mismatch"
	Malware   Kind = "malware"
	Advisory  Kind = "advisory"
	TooNew    Kind = "min-age"
	Signature Kind = "signature"
	Authority Kind = "authority"
)

// A Refusal says why a release is not let through.
type Refusal struct {
	Kind  Kind
	Why   string    // of the release, in a clause
	Typed string    // what to type, or to do
	Until time.Time // when it ends by itself; zero otherwise
}

// Advisories are those that the user has given. It is an osv.Dir.
type Advisories interface {
	About(name string) ([]osv.Advisory, error)
	State() (string, error)
}

// Config says what a Guard goes by.
type Config struct {
	Trust      func() (*trust.Policy, error)
	Advisories Advisories
	// From is the severity from which on advisories refuse; with Unknown malware alone does.
	From osv.Severity
	Now  func() time.Time
}

// A Guard judges releases.
type Guard struct {
	cfg Config

	mu   sync.Mutex
	file *trust.Policy
	sum  string // of file
}

// New returns a Guard.
func New(cfg Config) *Guard { return &Guard{cfg: cfg} }

// State changes whenever the user has written or given something else.
func (g *Guard) State() (string, error) {
	file, err := g.cfg.Trust()
	if err != nil {
		return "", err
	}
	given, err := g.cfg.Advisories.State()
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != file {
		sum := sha256.Sum256(file.Bytes())
		g.file, g.sum = file, string(sum[:])
	}
	return g.sum + given, nil
}

// A Judge is what a Guard goes by for one package at one moment.
type Judge struct {
	closed     trust.Entry           // the line of a key that decides alone about the name; of line 0 without
	registries []authority.Authority // the lines whose registries speak for the name; then one of them has to
	denied     func(records.Fingerprint) bool
	pins       map[records.Version]trust.Pin
	minAge     trust.MinAge
	advisories []osv.Advisory
	from       osv.Severity
	now        time.Time
}

// Judge reads what is to be said of a package.
func (g *Guard) Judge(name string) (*Judge, error) {
	file, err := g.cfg.Trust()
	if err != nil {
		return nil, err
	}
	j := &Judge{denied: file.Denied, pins: make(map[records.Version]trust.Pin), from: g.cfg.From, now: g.cfg.Now()}
	for _, p := range file.Pins() {
		if string(p.Name) == name {
			j.pins[p.Version] = p
		}
	}
	j.minAge, _ = file.MinAge()
	j.closed, j.registries = decide(file, records.Name(name), j.now)
	j.advisories, err = g.cfg.Advisories.About(name)
	return j, err
}

// decide returns the most specific line that gives a key the name, or names with it, unless
// one about a registry is as specific; and the most specific of those about registries,
// unless one of a key is more specific. A line that gives a key all names there are does
// not speak of this one.
func decide(file *trust.Policy, name records.Name, now time.Time) (alone trust.Entry, registries []authority.Authority) {
	closest, best := 0, 0
	for _, e := range file.Entries() {
		for _, s := range e.Scopes {
			if s != "*" && s.Contains(name) && s.Specificity() > closest && !e.Expired(now) {
				closest, alone = s.Specificity(), e
			}
		}
	}
	for _, a := range file.Authorities() {
		of := 0
		for _, s := range a.Scopes {
			if s.Contains(name) && !a.Expired(now) {
				of = max(of, s.Specificity()+1) // that of "*" is 0
			}
		}
		if of > best {
			best, registries = of, nil
		}
		if of > 0 && of == best {
			registries = append(registries, a)
		}
	}
	if closest >= best {
		return alone, nil
	}
	return trust.Entry{}, registries
}

// NeedsRegistry reports whether a registry has to speak for each release, as Vouched says.
func (j *Judge) NeedsRegistry() bool { return len(j.registries) > 0 }

// Vouched returns why no registry that the trust file names speaks for a release: its
// origin holds what is known of its signatures, and takenFrom are the registries that
// this home itself has the tarball from. It returns nil when one does.
func (j *Judge) Vouched(r *records.Release, takenFrom []string) *Refusal {
	facts := authority.Facts{
		Denied:   j.denied,
		Unpacked: func([sha512.Size]byte) *authority.Unpacked { return &authority.Unpacked{Registries: takenFrom} },
	}
	first := ""
	for i := range j.registries {
		_, why := j.registries[i].Vouch(r, facts)
		if why == "" {
			return nil
		}
		if first == "" {
			first = fmt.Sprintf("line %d of your trust file has %s speak for the name, and %s", j.registries[i].Line, j.registries[i].Registry, why)
		}
	}
	return &Refusal{Kind: Signature, Why: first, Typed: "es trust list shows the line; to take the release all the same: " +
		pinText(&Release{Name: string(r.Name), Version: r.Version})}
}

// IsPinned reports whether the user has pinned the version.
func (j *Judge) IsPinned(v records.Version) bool {
	_, ok := j.pins[v]
	return ok
}

// Exact is since when the exact times of releases matter.
func (j *Judge) Exact() time.Time { return j.now.Add(-j.minAge.Age) }

// Release returns why the release is not let through; nil when it is. What the user has
// pinned is let through, whatever else is said of it.
func (j *Judge) Release(r *Release) *Refusal {
	if p, ok := j.pins[r.Version]; ok {
		if r.Module.Defined() && r.Module != p.Module {
			return &Refusal{
				Kind: Pinned, Why: fmt.Sprintf("it is %s, and line %d of your trust file pins %s", r.Module, p.Line, p.Module),
				Typed: "es trust pin " + r.String() + " --remove",
			}
		}
		return nil
	}
	if j.closed.Line > 0 {
		return &Refusal{
			Kind: Authority, Why: fmt.Sprintf("line %d of your trust file gives the name to the key %s, and no registry speaks for it", j.closed.Line, j.closed.Fingerprint),
			Typed: fmt.Sprintf("es add %s installs what the key signs; to take the registry's: %s", r.Name, pinText(r)),
		}
	}
	if refusal := j.advised(r); refusal != nil {
		return refusal
	}
	if ready := r.Since().Add(j.minAge.Age); j.minAge.Age > 0 && j.now.Before(ready) {
		return &Refusal{
			Kind:  TooNew,
			Why:   fmt.Sprintf("it came out %s ago, and line %d of your trust file says min-age %s", ageText(j.now.Sub(r.Since())), j.minAge.Line, ageText(j.minAge.Age)),
			Typed: "wait until " + ready.UTC().Format("2006-01-02 15:04 MST") + ", or take it now: " + pinText(r),
			Until: ready,
		}
	}
	return nil
}

// advised is why the worst of the advisories about a release refuses it.
func (j *Judge) advised(r *Release) *Refusal {
	var worst *osv.Advisory
	for i := range j.advisories {
		a := &j.advisories[i]
		if (!a.Malware && (j.from == osv.Unknown || a.Severity < j.from)) || !a.Affects(r.Name, r.Version) {
			continue
		}
		if worst == nil || a.Malware && !worst.Malware || a.Malware == worst.Malware && a.Severity > worst.Severity {
			worst = a
		}
	}
	if worst == nil {
		return nil
	}
	refusal := &Refusal{Kind: Advisory, Why: fmt.Sprintf("%s says that it has a vulnerability of severity %s", worst.ID, worst.Severity), Typed: "take another version, or " + pinText(r)}
	if worst.Malware {
		refusal.Kind, refusal.Why = Malware, worst.ID+" says that it is malware"
	}
	if worst.Summary != "" {
		refusal.Why += fmt.Sprintf(" (%s)", records.CleanText(worst.Summary, 120))
	}
	return refusal
}

// pinText is how the user takes a release all the same.
func pinText(r *Release) string {
	if r.Module.Defined() {
		return fmt.Sprintf("es trust pin %s %s", r, r.Module)
	}
	return fmt.Sprintf("es import npm %s --deps=false --json, which shows its CID; es trust pin %s CID", r, r)
}

// ageText writes a duration as a trust file does, rounded down.
func ageText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0, d >= 7*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Hour).String(), "0m0s")
	}
	return fmt.Sprintf("%dm", max(d, 0)/time.Minute)
}
