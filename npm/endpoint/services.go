package endpoint

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	defaultSearch = 20
	maxSearch     = 250
)

type searchDoc struct {
	Objects []searchHit `json:"objects"`
	Total   int         `json:"total"`
	Time    string      `json:"time"`
}

type searchHit struct {
	Package     searchPackage `json:"package"`
	Score       searchScore   `json:"score"`
	SearchScore float64       `json:"searchScore"`
}

type searchPackage struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	Description string            `json:"description"`
	Keywords    []string          `json:"keywords"`
	Date        string            `json:"date"`
	Links       map[string]string `json:"links"`
	Publisher   map[string]string `json:"publisher"`
	Maintainers []any             `json:"maintainers"`
}

type searchScore struct {
	Final  float64            `json:"final"`
	Detail map[string]float64 `json:"detail"`
}

func (e *Endpoint) search(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	size, err := number(q.Get("size"), defaultSearch, maxSearch)
	if err != nil {
		return err
	}
	from, err := number(q.Get("from"), 0, 1<<20)
	if err != nil {
		return err
	}
	found := &Found{}
	if text := strings.TrimSpace(q.Get("text")); text != "" {
		if found, err = e.cfg.Source.Search(r.Context(), text, from, size); err != nil {
			return err
		}
	}
	doc := searchDoc{Objects: []searchHit{}, Total: found.Total, Time: ""}
	for _, h := range found.Hits {
		links := map[string]string{}
		for name, value := range map[string]string{"homepage": h.Homepage, "repository": h.Repository} {
			if value != "" {
				links[name] = value
			}
		}
		doc.Objects = append(doc.Objects, searchHit{
			Package: searchPackage{
				Name: h.Name, Version: h.Version, Description: h.Description, Keywords: append([]string{}, h.Keywords...), Date: stamp(h.Published),
				Links: links, Publisher: map[string]string{"username": h.Publisher}, Maintainers: []any{},
			},
			Score:       searchScore{h.Score, map[string]float64{"quality": 0, "popularity": 0, "maintenance": 0}},
			SearchScore: h.Score,
		})
	}
	return answer(w, r, doc)
}

// number reads a count of a query; more than most is most.
func number(text string, without, most int) (int, error) {
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &RefusedError{http.StatusBadRequest, fmt.Sprintf("%q is no number of results", text)}
	}
	return min(n, most), nil
}

// audit answers which of the installed versions something is known against.
func (e *Endpoint) audit(w http.ResponseWriter, r *http.Request) error {
	b, err := body(w, r, MaxAuditBody)
	if err != nil {
		return err
	}
	var installed map[string][]string
	if err := json.Unmarshal(b, &installed); err != nil {
		return &RefusedError{http.StatusBadRequest, "not a list of versions by name"}
	}
	found, err := e.cfg.Source.Advisories(r.Context(), installed)
	if err != nil {
		return err
	}
	if found == nil {
		found = map[string][]Advisory{}
	}
	return answer(w, r, found)
}

// body reads a request's body, unpacked, up to limit bytes.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, limit)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &RefusedError{http.StatusBadRequest, "the body is not gzip"}
		}
		in = z
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong), int64(len(b)) > limit:
		return nil, &RefusedError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", limit)}
	case err != nil:
		return nil, &RefusedError{http.StatusBadRequest, "the body ends too early"}
	}
	return b, nil
}

type publishDoc struct {
	Name        string            `json:"name"`
	Tags        map[string]string `json:"dist-tags"`
	Versions    map[string]any    `json:"versions"`
	Attachments map[string]struct {
		Data []byte `json:"data"`
	} `json:"_attachments"`
}

// publish takes one version with its tarball. What the client says of the manifest
// and of where the tarball is does not count: the tarball says it.
func (e *Endpoint) publish(w http.ResponseWriter, r *http.Request, path string) error {
	user, err := e.user(r)
	if err != nil {
		return err
	}
	name, rest := splitName(path)
	if name == "" || rest != "" {
		return errNotFound
	}
	b, err := body(w, r, MaxPublishBody)
	if err != nil {
		return err
	}
	var doc publishDoc
	if err := json.Unmarshal(b, &doc); err != nil {
		return &RefusedError{http.StatusBadRequest, "not what npm publish sends"}
	}
	p := &Publication{Name: name}
	if doc.Name != name || len(doc.Versions) != 1 {
		return &RefusedError{http.StatusBadRequest, "not one version of the package in the URL"}
	}
	for version := range doc.Versions {
		p.Version = version
	}
	for tag, version := range doc.Tags {
		if version == p.Version {
			p.Tags = append(p.Tags, tag)
		}
	}
	for file, a := range doc.Attachments {
		if strings.HasSuffix(file, ".tgz") {
			if p.Tarball != nil {
				return &RefusedError{http.StatusBadRequest, "two tarballs"}
			}
			p.Tarball = a.Data
		}
	}
	if len(p.Tarball) == 0 {
		return &RefusedError{http.StatusBadRequest, "no tarball"}
	}
	if err := e.cfg.Source.Publish(r.Context(), user, p); err != nil {
		return err
	}
	return answer(w, r, map[string]any{"ok": true, "id": name})
}
