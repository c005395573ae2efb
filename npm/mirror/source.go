package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

// Stamp implements endpoint.Source.
func (m *Mirror) Stamp(ctx context.Context, name string, form endpoint.Form) (string, error) {
	l, err := m.visible(ctx, name, form)
	if err != nil {
		return "", err
	}
	return l.stamp, nil
}

// visible is a package's listing when anything of it is let through.
func (m *Mirror) visible(ctx context.Context, name string, form endpoint.Form) (*listing, error) {
	if !records.IsDependencyName(name) {
		return nil, &endpoint.RefusedError{Status: http.StatusNotFound, Text: fmt.Sprintf("es: %q is no name of a package", name)}
	}
	l, err := m.listing(ctx, name, form, false)
	if err != nil {
		return nil, unreadable(err)
	}
	m.tell(l)
	if len(l.order) == 0 {
		return nil, m.nothing(l, name)
	}
	return l, nil
}

// tell tells of the newest version where it is not let through: who asks for it gets an
// older one, or nothing.
func (m *Mirror) tell(l *listing) {
	if m.cfg.Refused == nil || m.cfg.Audit {
		return
	}
	if r := l.newestRefused(); r != nil && (len(l.order) == 0 || r.Version.Compare(l.order[len(l.order)-1]) > 0) && m.isNews(r) {
		m.cfg.Refused(&r.Release, r.refusal)
	}
}

func (l *listing) newestRefused() (newest *release) {
	for _, r := range l.releases {
		if r.refusal != nil && (newest == nil || newest.Version.Compare(r.Version) < 0) {
			newest = r
		}
	}
	return newest
}

func (m *Mirror) isNews(r *release) bool {
	key := r.String() + " " + string(r.refusal.Kind)
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.told[key]
	m.told[key] = true
	return !known
}

// nothing says why a package has no version for a client, and what to type.
func (m *Mirror) nothing(l *listing, name string) error {
	text := "es: no registry is asked, and nothing of " + name + " is here; es import npm " + name + " fetches it, es node --registry --upstream fetches what is asked for"
	newest := l.newestRefused()
	switch {
	case newest != nil:
		return refused(newest)
	case l.missing:
		text = "es: the registry has no package " + name + ", and nothing of it is here"
	case m.cfg.Registries != nil && !l.reached:
		text = "es: the registry is not reached, and nothing of " + name + " is here"
	case m.cfg.Registries != nil:
		text = "es: the registry has no version of " + name + " that can be installed"
	}
	return &endpoint.RefusedError{Status: http.StatusNotFound, Text: text}
}

func refused(r *release) error {
	return &endpoint.RefusedError{
		Status: http.StatusNotFound,
		Text:   fmt.Sprintf("es: %s is not let through (%s): %s; %s", r, r.refusal.Kind, r.refusal.Why, r.refusal.Typed),
	}
}

// Packument implements endpoint.Source.
func (m *Mirror) Packument(ctx context.Context, name string, form endpoint.Form) (*endpoint.Packument, error) {
	l, err := m.visible(ctx, name, form)
	if err != nil {
		return nil, err
	}
	p := &endpoint.Packument{Name: name, Tags: l.tags, Created: l.created, Modified: l.modified}
	var doc *registry.Packument
	if l.kept {
		k, err := m.readKept(l.base, name, l.document)
		if err != nil {
			return nil, err
		}
		if k != nil {
			if doc, err = registry.ParsePackument(k.body); err != nil {
				return nil, unreadable(err)
			}
		}
	}
	said := make(map[string]*registry.Version)
	if doc != nil {
		for i := range doc.Versions {
			said[doc.Versions[i].Version] = &doc.Versions[i]
		}
		if form == endpoint.Full {
			if p.Rest, err = restOf(doc.Rest); err != nil {
				return nil, unreadable(err)
			}
		}
	}
	for _, v := range l.order {
		version, err := m.version(ctx, l.releases[v], said[string(v)], form)
		if err != nil {
			return nil, err
		}
		p.Versions = append(p.Versions, *version)
	}
	return p, nil
}

// restOf drops what the endpoint writes itself, and what nobody installs by.
func restOf(rest jsontext.Value) (jsontext.Value, error) {
	if len(rest) == 0 {
		return nil, nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(rest, &all, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, err
	}
	for _, name := range []string{"_id", "_rev", "_attachments", "name", "dist-tags", "time", "modified", "versions", "readme", "readmeFilename", "users"} {
		delete(all, name)
	}
	return json.Marshal(all, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// version is what clients are told of a release: what the registry says of it, else what
// its tarball does.
func (m *Mirror) version(ctx context.Context, r *release, said *registry.Version, form endpoint.Form) (*endpoint.Version, error) {
	v := &endpoint.Version{Version: string(r.Version), Published: r.Since(), Resolved: r.dist.Tarball}
	if said != nil {
		v.Registry = said.Raw()
		return v, nil
	}
	t := r.here
	v.Manifest, v.SHA512, v.SHA1, v.Files, v.Size = &t.Manifest, t.SHA512, t.SHA1, t.Files, t.Size
	if form == endpoint.Abbreviated {
		return v, nil
	}
	p, err := m.cfg.Trees.Get(t.SHA512)
	if err != nil {
		return v, nil // not written yet: the manifest alone does
	}
	i := slices.IndexFunc(p.Entries, func(e unpacked.Entry) bool { return e.Path == "package.json" })
	if i < 0 {
		return v, nil
	}
	var text strings.Builder
	e := unixfs.Entry(p.Entries[i])
	if err := e.CopyTo(ctx, m.cfg.Blocks, &text); err != nil {
		return nil, fmt.Errorf("read package.json of %s: %w", r, err)
	}
	v.Package = jsontext.Value(text.String())
	if !v.Package.IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
		v.Package = nil
	}
	return v, nil
}

// Tarball implements endpoint.Source. What is not here is imported first: no byte goes
// to a client before all of them were checked.
func (m *Mirror) Tarball(ctx context.Context, name, version string) (*endpoint.Tarball, error) {
	v, err := records.ParseVersion(version)
	if err != nil || !records.IsDependencyName(name) {
		return nil, &endpoint.RefusedError{Status: http.StatusNotFound, Text: fmt.Sprintf("es: %q is no version of a package", name+"@"+version)}
	}
	r, err := m.release(ctx, name, v)
	if err != nil {
		return nil, unreadable(err)
	}
	if err := m.admit(ctx, r); err != nil {
		return nil, err
	}
	if r.here != nil {
		t, err := m.open(ctx, r.here)
		var corrupt *unixfs.CorruptError
		if !errors.As(err, &corrupt) && !errors.Is(err, os.ErrNotExist) {
			return t, err
		}
		if err := m.cfg.Trees.Remove(r.here.SHA512); err != nil {
			return nil, err
		}
		m.trees.drop(r.here.Package)
		absent := *r
		absent.here = nil
		r = &absent
		if err := m.admit(ctx, r); err != nil { // what the registry has now may be something else
			return nil, err
		}
	}
	t, err := m.fetch(ctx, r)
	if err != nil {
		return nil, unreadable(err)
	}
	return m.open(ctx, t)
}

// admit refuses a release that is not let through, and tells of it.
func (m *Mirror) admit(ctx context.Context, r *release) error {
	r, err := m.checkSigned(ctx, r)
	if err != nil {
		return unreadable(err)
	}
	if r.refusal == nil {
		return nil
	}
	if m.cfg.Refused != nil && m.isNews(r) {
		m.cfg.Refused(&r.Release, r.refusal)
	}
	if m.cfg.Audit {
		return nil
	}
	return refused(r)
}

// checkSigned judges a release by the registry's signatures too, unless it is refused
// already, or is the user's own word.
func (m *Mirror) checkSigned(ctx context.Context, r *release) (*release, error) {
	if r.refusal != nil {
		return r, nil
	}
	judge, err := m.cfg.Guard.Judge(r.Name)
	if err != nil || judge.IsPinned(r.Version) {
		return r, err
	}
	refusal, err := m.speaks(ctx, judge, r)
	if err != nil || refusal == nil {
		return r, err
	}
	judged := *r
	judged.refusal = refusal
	return &judged, nil
}

// release finds a version of a package; a registry is asked where that is not listed.
func (m *Mirror) release(ctx context.Context, name string, v records.Version) (*release, error) {
	var l *listing
	for _, known := range []bool{true, false} {
		var err error
		if l, err = m.listing(ctx, name, endpoint.Abbreviated, known); err != nil {
			return nil, err
		}
		if r, ok := l.releases[v]; ok {
			return r, nil
		}
	}
	here, err := m.trees.of(name)
	if err != nil {
		return nil, err
	}
	if _, ok := here[v]; ok { // imported just now by another process
		m.listings.byKey().Remove(listingKey{name, endpoint.Abbreviated})
		return m.release(ctx, name, v)
	}
	if len(l.releases) == 0 {
		return nil, m.nothing(l, name)
	}
	return nil, &endpoint.RefusedError{Status: http.StatusNotFound, Text: fmt.Sprintf("es: there is no %s@%s; es import npm %s@%s looks for it", name, v, name, v)}
}

func (m *Mirror) open(ctx context.Context, t *tree) (*endpoint.Tarball, error) {
	path, err := m.cfg.Blocks.File(ctx, entry(t.Package))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the tarball of %s@%s: %w", t.Name, t.Version, err)
	}
	return &endpoint.Tarball{ReadSeekCloser: f, SHA512: t.SHA512}, nil
}

// fetch imports a release, once for all who wait for it.
func (m *Mirror) fetch(ctx context.Context, r *release) (*tree, error) {
	if m.cfg.Registries == nil {
		return nil, &endpoint.RefusedError{Status: http.StatusNotFound, Text: fmt.Sprintf("es: no registry is asked, and %s is not here; es import npm %s fetches it", r, r)}
	}
	base, err := m.cfg.Registries.Base(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	url, ok := registry.TarballURL(base, r.Name, string(r.Version), r.dist.Tarball)
	if !ok {
		return nil, fmt.Errorf("%s: its tarball is at %q, and not at the registry that is configured, %q", r, r.dist.Tarball, base)
	}
	p := importer.Package{Name: r.Name, Version: r.Version, URL: url, SHA1: r.dist.SHA1, Taken: &unpacked.Taken{Registry: base, Signatures: r.dist.Signatures}}
	if !r.claimed.IsZero() {
		p.Taken.Published = r.claimed.Unix()
	}
	if hash, err := npm.ParseIntegrity(r.dist.Integrity); err == nil {
		p.Integrity = &hash
	}
	err = m.flights.do(ctx, "tarball "+p.String(), func(ctx context.Context) error {
		if t, err := m.arrived(&p); t != nil || err != nil {
			return err
		}
		result := m.queue.Import(ctx, p)
		if result.Err != nil {
			return result.Err
		}
		m.trees.add(result.Tree)
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, err := m.arrived(&p)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("%s: it was removed while it came", r)
	}
	return t, m.checkPin(r, t)
}

// arrived returns the tarball of a package if it is here.
func (m *Mirror) arrived(p *importer.Package) (*tree, error) {
	here, err := m.trees.of(p.Name)
	if err != nil {
		return nil, err
	}
	t, ok := here[p.Version]
	if !ok || p.Integrity != nil && t.SHA512 != *p.Integrity {
		return nil, nil
	}
	return &t, nil
}

// checkPin judges once more, now that it is known which module the tarball is.
func (m *Mirror) checkPin(r *release, t *tree) error {
	judge, err := m.cfg.Guard.Judge(r.Name)
	if err != nil {
		return err
	}
	now := *r
	now.Module = t.Module
	if now.refusal = judge.Release(&now.Release); now.refusal == nil || m.cfg.Audit {
		return nil
	}
	return refused(&now)
}

// Private implements endpoint.Source.
func (m *Mirror) Private(ctx context.Context, name string) (bool, error) {
	if m.cfg.Registries == nil {
		return false, nil
	}
	private, err := m.cfg.Registries.Private(ctx, name)
	if err != nil {
		return false, unreadable(err)
	}
	return private, nil
}
