package mirror

import (
	"cmp"
	"context"
	"crypto/subtle"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/records"
)

// Search implements endpoint.Source: it knows what is here.
func (m *Mirror) Search(ctx context.Context, text string, from, size int) (*endpoint.Found, error) {
	words := strings.Fields(strings.ToLower(text))
	newest, err := m.trees.newest()
	if err != nil {
		return nil, err
	}
	var hits []endpoint.Hit
	for name, t := range newest {
		if score := fit(words, name, &t); score > 0 {
			hits = append(hits, endpoint.Hit{
				Name: name, Version: string(t.Version), Description: t.Manifest.Description, Keywords: t.Manifest.Keywords,
				Published: t.since, Homepage: t.Manifest.Homepage, Repository: t.Manifest.Repository, Score: score,
			})
		}
	}
	slices.SortFunc(hits, func(a, b endpoint.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name, b.Name))
	})
	found := &endpoint.Found{Total: len(hits)}
	for _, h := range hits[min(from, len(hits)):] {
		if len(found.Hits) == size {
			break
		}
		private, err := m.Private(ctx, h.Name)
		if err != nil || private {
			found.Total--
			continue
		}
		found.Hits = append(found.Hits, h)
	}
	return found, nil
}

// fit is how well a package fits what is searched: 1 is its name, 0 not at all.
func fit(words []string, name string, t *tree) float64 {
	lower := strings.ToLower(name)
	if len(words) == 1 && lower == words[0] {
		return 1
	}
	about := strings.ToLower(t.Manifest.Description + " " + strings.Join(t.Manifest.Keywords, " "))
	score := 0.8
	for _, w := range words {
		switch {
		case strings.Contains(lower, w):
		case strings.Contains(about, w):
			score = 0.4
		default:
			return 0
		}
	}
	return score
}

// newest is the highest version of each package that is here.
func (c *catalog) newest() (map[string]tree, error) {
	if _, err := c.of(""); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := make(map[string]tree, len(c.byName))
	for name, versions := range c.byName {
		for v, t := range versions {
			if other, ok := newest[name]; !ok || other.Version.Compare(v) < 0 {
				newest[name] = t
			}
		}
	}
	return newest, nil
}

// Advisories implements endpoint.Source.
func (m *Mirror) Advisories(_ context.Context, installed map[string][]string) (map[string][]endpoint.Advisory, error) {
	found := make(map[string][]endpoint.Advisory)
	for name, versions := range installed {
		advisories, err := m.cfg.Advisories.About(name)
		if err != nil {
			return nil, err
		}
		for i := range advisories {
			a := &advisories[i]
			affected := func(text string) bool {
				v, err := records.ParseVersion(text)
				return err == nil && a.Affects(name, v)
			}
			if slices.ContainsFunc(versions, affected) {
				found[name] = append(found[name], advisoryOf(a, name))
			}
		}
	}
	return found, nil
}

// advisoryOf is an advisory as npm audit shows it.
func advisoryOf(a *osv.Advisory, name string) endpoint.Advisory {
	h := fnv.New32a()
	h.Write([]byte(a.ID))
	severity := a.Severity.String()
	if a.Severity == osv.Unknown {
		severity = "info"
	}
	title := a.ID
	if a.Summary != "" {
		title += ": " + a.Summary
	}
	return endpoint.Advisory{
		ID: int64(h.Sum32()), URL: a.URL, Title: title, Severity: severity, Vulnerable: a.Range(name), CWE: []string{},
		CVSS: endpoint.CVSS{Vector: a.Vector},
	}
}

// tokenUser is whom the node's own token belongs to.
const tokenUser = "es"

// User implements endpoint.Source.
func (m *Mirror) User(_ context.Context, token string) (string, error) {
	if m.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(m.cfg.Token)) == 1 {
		return tokenUser, nil
	}
	return "", nil
}

// Publish implements endpoint.Source. Nothing is published here.
func (m *Mirror) Publish(_ context.Context, _ string, p *endpoint.Publication) error {
	return &endpoint.RefusedError{Status: http.StatusForbidden, Text: "es: nothing is published here: es publish signs " + p.Name + " with your key and announces it"}
}
