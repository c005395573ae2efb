package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/records"
)

// maxListings is how many packages a Mirror has in memory.
const maxListings = 2048

// A listing is what is known of a package, and what of it is let through, for some time.
type listing struct {
	stamp    string
	state    string    // of the guard, when it was made
	until    time.Time // when it must be made again
	base     string    // of the registry; empty where none is asked
	reached  bool      // the registry answered, so what it has can be had
	missing  bool      // the registry has no such package
	document endpoint.Form
	kept     bool // document is kept

	created, modified time.Time
	tags              map[string]string
	order             []records.Version // of what is let through
	releases          map[records.Version]*release
}

// A release is one version, let through or not.
type release struct {
	guard.Release
	claimed time.Time     // when the registry says it came out; zero where it only says not after when
	dist    registry.Dist // zero where no packument has it
	here    *tree         // nil where the tarball is not here
	refusal *guard.Refusal
}

type listingKey struct {
	name string
	form endpoint.Form
}

// listings are those of the packages that were asked for last.
type listings struct {
	once  sync.Once
	cache *lru.Cache[listingKey, *listing]
}

func (l *listings) byKey() *lru.Cache[listingKey, *listing] {
	l.once.Do(func() { l.cache, _ = lru.New[listingKey, *listing](maxListings) }) // its size is no error
	return l.cache
}

// listing returns what is known of a package now. With known it asks no registry for a
// package whose packument is kept, however old that is: for tarballs, whose bytes do not
// change.
func (m *Mirror) listing(ctx context.Context, name string, form endpoint.Form, known bool) (*listing, error) {
	state, err := m.cfg.Guard.State()
	if err != nil {
		return nil, err
	}
	key, now := listingKey{name, form}, m.cfg.Now()
	if l, ok := m.listings.byKey().Get(key); ok && l.state == state && now.Before(l.until) {
		return l, nil
	}
	l := &listing{state: state, until: now.Add(fresh)}
	if m.cfg.Registries != nil {
		if l.base, err = m.cfg.Registries.Base(ctx, name); err != nil {
			return nil, err
		}
		if err := m.askFor(ctx, l, name, form, known); err != nil {
			return nil, err
		}
	}
	if err := m.fill(l, name, form); err != nil {
		return nil, err
	}
	if !l.reached && m.cfg.Registries != nil {
		l.until = now.Add(pause)
	}
	m.listings.byKey().Add(key, l)
	return l, nil
}

// askFor has the packuments that a listing is made of.
func (m *Mirror) askFor(ctx context.Context, l *listing, name string, form endpoint.Form, known bool) (err error) {
	if known {
		for _, f := range []endpoint.Form{endpoint.Abbreviated, endpoint.Full} {
			if k, err := m.readKept(l.base, name, f); err != nil || k != nil {
				l.reached = true
				return err
			}
		}
	}
	l.reached, err = m.ask(ctx, l.base, name, form)
	if err == nil && l.reached && form == endpoint.Abbreviated {
		exact, isErr := m.needsTimes(l, name)
		if isErr != nil {
			return isErr
		}
		if exact {
			l.reached, err = m.ask(ctx, l.base, name, endpoint.Full)
		}
	}
	if registry.Missing(err) {
		l.missing, err = true, nil
	}
	return err
}

// needsTimes reports whether the abbreviated form does not say enough of the times of a
// package's versions: the last change is an upper bound of all of them.
func (m *Mirror) needsTimes(l *listing, name string) (bool, error) {
	k, err := m.readKept(l.base, name, endpoint.Abbreviated)
	if err != nil || k == nil {
		return false, err
	}
	p, err := registry.ParsePackument(k.body)
	if err != nil || len(p.Times) > 0 {
		return false, err
	}
	judge, err := m.cfg.Guard.Judge(name)
	if err != nil {
		return false, err
	}
	since := judge.Exact()
	if young := m.cfg.Now().Add(-exactFor); young.Before(since) {
		since = young
	}
	return !p.Modified.Before(since) || p.Modified.IsZero(), nil
}

// fill lists what the packument that is kept and the tarballs that are here say.
func (m *Mirror) fill(l *listing, name string, form endpoint.Form) error {
	l.releases, l.tags = make(map[records.Version]*release), make(map[string]string)
	here, err := m.trees.of(name)
	if err != nil {
		return err
	}
	for v, t := range here {
		l.releases[v] = &release{Release: guard.Release{Name: name, Version: v, Seen: t.since, Module: moduleOf(t.Package)}, here: &t}
	}
	p, k, err := m.best(l, name, form)
	if err != nil {
		return err
	}
	if p != nil {
		l.kept = true
		if err := m.merge(l, p, k); err != nil {
			return err
		}
	}
	return m.judge(l, name, p)
}

// best is the packument to go by: the full one for the full form, and for the other one
// too where it is as new.
func (m *Mirror) best(l *listing, name string, form endpoint.Form) (*registry.Packument, *kept, error) {
	k, err := m.readKept(l.base, name, endpoint.Full)
	l.document = endpoint.Full
	if err == nil && (k == nil || form == endpoint.Abbreviated) {
		var short *kept
		if short, err = m.readKept(l.base, name, endpoint.Abbreviated); short != nil && (k == nil || k.read.Before(short.read.Add(-fresh))) {
			k, l.document = short, endpoint.Abbreviated
		}
	}
	if err != nil || k == nil {
		return nil, nil, err
	}
	p, err := registry.ParsePackument(k.body)
	return p, k, err
}

// merge adds what a packument says. Of a version that is here from another tarball, the
// one here is left out: the registry now names another.
func (m *Mirror) merge(l *listing, p *registry.Packument, k *kept) error {
	for i := range p.Versions {
		info := &p.Versions[i]
		v, err := records.ParseVersion(info.Version)
		if err != nil {
			continue // older than npm's rules for versions
		}
		dist, err := info.Dist()
		if err != nil {
			continue
		}
		published := p.Times[info.Version]
		if published.IsZero() {
			published = p.Modified
		}
		r := l.releases[v]
		if r == nil {
			r = &release{Release: guard.Release{Name: p.Name, Version: v, Seen: k.Seen[info.Version]}}
			l.releases[v] = r
		}
		if seen, ok := k.Seen[info.Version]; ok && seen.Before(r.Seen) {
			r.Seen = seen
		}
		if r.here != nil && dist.Integrity != "" {
			if hash, err := npm.ParseIntegrity(dist.Integrity); err == nil && hash != r.here.SHA512 {
				r.here, r.Module = nil, moduleOf(nil)
			}
		}
		r.Published, r.claimed, r.dist = published, p.Times[info.Version], dist
	}
	return nil
}

// judge decides what is let through.
func (m *Mirror) judge(l *listing, name string, p *registry.Packument) error {
	judge, err := m.cfg.Guard.Judge(name)
	if err != nil {
		return err
	}
	for v, r := range l.releases {
		if r.refusal = judge.Release(&r.Release); r.refusal != nil {
			if u := r.refusal.Until; !u.IsZero() && u.Before(l.until) {
				l.until = u
			}
			if !m.cfg.Audit {
				continue
			}
		}
		if r.here != nil || l.reached && !l.missing && r.dist.Tarball != "" {
			l.order = append(l.order, v)
		}
	}
	slices.SortFunc(l.order, records.Version.Compare)
	l.tag(p)
	l.date(p)
	l.stamp = l.sum(p)
	return nil
}

// tag keeps the registry's tags of what is let through. latest is always there: else the
// highest release.
func (l *listing) tag(p *registry.Packument) {
	if p != nil {
		for tag, version := range p.Tags {
			if slices.Contains(l.order, records.Version(version)) {
				l.tags[tag] = version
			}
		}
	}
	if _, ok := l.tags["latest"]; ok || len(l.order) == 0 {
		return
	}
	highest := l.order[len(l.order)-1]
	for _, v := range slices.Backward(l.order) {
		if v.Prerelease() == "" {
			highest = v
			break
		}
	}
	l.tags["latest"] = string(highest)
}

// date finds out when the package began, and when what is let through last changed.
func (l *listing) date(p *registry.Packument) {
	if p != nil {
		l.created, l.modified = p.Times["created"], p.Modified
	}
	for _, v := range l.order {
		at := l.releases[v].Since()
		if l.created.IsZero() || at.Before(l.created) {
			l.created = at
		}
		if at.After(l.modified) {
			l.modified = at
		}
	}
}

// sum changes whenever the packument does that is made of the listing.
func (l *listing) sum(p *registry.Packument) string {
	h := sha256.New()
	if p != nil {
		for i := range p.Versions {
			h.Write(p.Versions[i].Raw())
		}
		h.Write(p.Rest)
	}
	for _, v := range l.order {
		r := l.releases[v]
		fmt.Fprintln(h, v, r.Since().UnixNano(), r.here != nil)
	}
	tags := make([]string, 0, len(l.tags))
	for tag, version := range l.tags {
		tags = append(tags, tag+" "+version)
	}
	slices.Sort(tags)
	fmt.Fprintln(h, strings.Join(tags, "\n"), l.document, l.kept)
	return string(h.Sum(nil))
}

// unreadable is what a client is told of an error of its Mirror's.
func unreadable(err error) error {
	var refused *endpoint.RefusedError
	if errors.As(err, &refused) || errors.Is(err, context.Canceled) {
		return err
	}
	return &endpoint.RefusedError{Status: 502, Text: "es: " + records.CleanText(err.Error(), 1000)}
}
