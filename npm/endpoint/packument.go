package endpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

const (
	fullType        = "application/json"
	abbreviatedType = "application/vnd.npm.install-v1+json"

	// npmPrefix is the path of the base URL for npm alone: npm writes the URLs of
	// the registry a package came from into its lockfiles and replaces their host
	// by the one it is configured for when it fetches ([Q45]). Others take the URL
	// as it is.
	npmPrefix = "npm/"
)

// docKey is a form of a package's packument.
type docKey struct {
	name string
	form Form
	npm  bool
}

func (e *Endpoint) packument(w http.ResponseWriter, r *http.Request, name string) error {
	key := docKey{name, Full, e.isNPM(r)}
	if strings.Contains(r.Header.Get("Accept"), abbreviatedType) {
		key.form = Abbreviated
	}
	stamp, err := e.cfg.Source.Stamp(r.Context(), name, key.form)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", key.etag(stamp))
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if matches(r.Header.Get("If-None-Match"), key.etag(stamp)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	doc, err := e.document(r, key, stamp)
	if err != nil {
		return err
	}
	if key.form == Abbreviated {
		h.Set("Content-Type", abbreviatedType)
	} else {
		h.Set("Content-Type", fullType)
	}
	serveBytes(w, r, doc)
	return nil
}

// etag names a form of a view; the stamp need not be fit for a header.
func (k docKey) etag(stamp string) string {
	form := "f"
	if k.form == Abbreviated {
		form = "a"
	}
	if k.npm {
		form += "n"
	}
	sum := sha256.Sum256([]byte(stamp))
	return `"` + form + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
}

// matches reports whether a list of If-None-Match has the tag.
func matches(list, tag string) bool {
	for candidate := range strings.SplitSeq(list, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}

// isNPM reports whether the client is npm itself, configured with npmPrefix or not.
func (e *Endpoint) isNPM(r *http.Request) bool {
	return strings.HasPrefix(strings.TrimPrefix(r.URL.Path, "/"), npmPrefix)
}

// document returns the packument of this stamp, encoded once.
func (e *Endpoint) document(r *http.Request, key docKey, stamp string) (*document, error) {
	if doc := e.docs.get(key, stamp); doc != nil {
		return doc, nil
	}
	p, err := e.cfg.Source.Packument(r.Context(), key.name, key.form)
	if err != nil {
		return nil, err
	}
	body, err := e.encode(p, key)
	if err != nil {
		return nil, err
	}
	doc := &document{stamp: stamp, body: body, modified: p.Modified}
	e.docs.add(key, doc)
	return doc, nil
}

type packumentDoc struct {
	ID       string            `json:"_id,omitempty"`
	Name     string            `json:"name"`
	Tags     map[string]string `json:"dist-tags"`
	Modified string            `json:"modified,omitempty"`
	Times    map[string]string `json:"time,omitempty"`
	Versions jsontext.Value    `json:"versions"`
	Rest     jsontext.Value    `json:",embed"`
}

// encode writes a packument in one of its forms. The abbreviated one has times too:
// pnpm and others judge the age of a version by them and would ask again.
func (e *Endpoint) encode(p *Packument, key docKey) ([]byte, error) {
	doc := packumentDoc{Name: p.Name, Tags: p.Tags, Times: map[string]string{"created": stamp(p.Created), "modified": stamp(p.Modified)}}
	if key.form == Abbreviated {
		doc.Modified = stamp(p.Modified)
	} else {
		doc.ID, doc.Rest = p.Name, p.Rest
	}
	versions := []byte{'{'}
	for i := range p.Versions {
		v := &p.Versions[i]
		doc.Times[v.Version] = stamp(v.Published)
		if i > 0 {
			versions = append(versions, ',')
		}
		var err error
		if versions, err = jsontext.AppendQuote(versions, v.Version); err != nil {
			return nil, err
		}
		body, err := e.encodeVersion(p.Name, v, key)
		if err != nil {
			return nil, err
		}
		versions = append(append(versions, ':'), body...)
	}
	doc.Versions = append(versions, '}')
	return json.Marshal(doc, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// stamp writes a time as JavaScript does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type distDoc struct {
	Tarball    string         `json:"tarball"`
	Integrity  string         `json:"integrity"`
	SHA1       string         `json:"shasum"`
	Files      int64          `json:"fileCount"`
	Size       int64          `json:"unpackedSize"`
	Signatures []signatureDoc `json:"signatures,omitempty"`
}

type signatureDoc struct {
	KeyID     string `json:"keyid"`
	Signature []byte `json:"sig"`
}

type versionDoc struct {
	Name            string                     `json:"name"`
	Version         string                     `json:"version"`
	Description     string                     `json:"description,omitempty"`
	Keywords        []string                   `json:"keywords,omitempty"`
	License         string                     `json:"license,omitempty"`
	Homepage        string                     `json:"homepage,omitempty"`
	Bin             map[string]string          `json:"bin,omitempty"`
	Dependencies    map[string]string          `json:"dependencies,omitempty"`
	Optional        map[string]string          `json:"optionalDependencies,omitempty"`
	Peers           map[string]string          `json:"peerDependencies,omitempty"`
	PeersMeta       map[string]map[string]bool `json:"peerDependenciesMeta,omitempty"`
	Bundled         []string                   `json:"bundleDependencies,omitempty"`
	Engines         map[string]string          `json:"engines,omitempty"`
	OS              []string                   `json:"os,omitempty"`
	CPU             []string                   `json:"cpu,omitempty"`
	Libc            []string                   `json:"libc,omitempty"`
	Deprecated      string                     `json:"deprecated,omitempty"`
	HasScripts      bool                       `json:"hasInstallScript,omitempty"`
	HasShrinkwrap   bool                       `json:"_hasShrinkwrap,omitempty"`
	Dist            distDoc                    `json:"dist"`
	PackageJSONRest jsontext.Value             `json:",embed"`
}

// own are the fields of a package.json that the endpoint writes itself.
var own = map[string]bool{
	"name": true, "version": true, "bin": true, "dependencies": true, "optionalDependencies": true, "peerDependencies": true,
	"peerDependenciesMeta": true, "bundleDependencies": true, "bundledDependencies": true, "engines": true, "os": true, "cpu": true,
	"libc": true, "deprecated": true, "hasInstallScript": true, "_hasShrinkwrap": true, "dist": true, "description": true,
	"keywords": true, "license": true, "homepage": true,
}

func (e *Endpoint) encodeVersion(name string, v *Version, key docKey) ([]byte, error) {
	if v.Registry != nil {
		return passOn(v.Registry, key.form, e.tarballURL(name, v, key))
	}
	m := v.Manifest
	doc := versionDoc{
		Name: name, Version: v.Version,
		Bin: m.Bin, Dependencies: m.Dependencies, Optional: m.OptionalDependencies, Peers: m.PeerDependencies, Bundled: m.Bundled,
		Engines: m.Engines, OS: m.OS, CPU: m.CPU, Libc: m.Libc,
		Deprecated: v.Deprecated, HasScripts: m.Scripts, HasShrinkwrap: m.Shrinkwrap,
		Dist: distDoc{
			Tarball: e.tarballURL(name, v, key), Integrity: npm.FormatIntegrity(v.SHA512), SHA1: hex.EncodeToString(v.SHA1[:]),
			Files: v.Files, Size: v.Size, Signatures: signatures(v.Signatures),
		},
	}
	for _, peer := range m.OptionalPeers {
		if doc.PeersMeta == nil {
			doc.PeersMeta = make(map[string]map[string]bool)
		}
		doc.PeersMeta[peer] = map[string]bool{"optional": true}
	}
	if key.form == Full {
		doc.Description, doc.Keywords, doc.License, doc.Homepage = m.Description, m.Keywords, m.License, m.Homepage
		var err error
		if doc.PackageJSONRest, err = rest(v.Package); err != nil {
			return nil, err
		}
	}
	return json.Marshal(doc, json.Deterministic(true))
}

// rest returns the fields of a package.json that the endpoint does not write itself.
func rest(packageJSON jsontext.Value) (jsontext.Value, error) {
	if len(packageJSON) == 0 {
		return nil, nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(packageJSON, &all, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, err
	}
	for name := range all {
		if own[name] {
			delete(all, name)
		}
	}
	return json.Marshal(all, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

func signatures(list []records.OriginSignature) []signatureDoc {
	docs := make([]signatureDoc, len(list))
	for i, s := range list {
		docs[i] = signatureDoc(s)
	}
	return docs
}

// tarballURL is where a client finds a tarball: by the path that all of them expect.
func (e *Endpoint) tarballURL(name string, v *Version, key docKey) string {
	if key.npm && v.Resolved != "" {
		return v.Resolved
	}
	return e.cfg.Base + name + "/-/" + tarballFile(name, v.Version)
}

// tarballFile is the conventional name of a tarball.
func tarballFile(name, version string) string {
	return name[strings.IndexByte(name, '/')+1:] + "-" + version + ".tgz"
}

// version answers with one version of a packument, by number or tag.
func (e *Endpoint) version(w http.ResponseWriter, r *http.Request, name, version string) error {
	p, err := e.cfg.Source.Packument(r.Context(), name, Full)
	if err != nil {
		return err
	}
	if tagged, ok := p.Tags[version]; ok {
		version = tagged
	}
	for i := range p.Versions {
		if p.Versions[i].Version == version {
			b, err := e.encodeVersion(name, &p.Versions[i], docKey{name, Full, e.isNPM(r)})
			if err != nil {
				return err
			}
			return answer(w, r, jsontext.Value(b))
		}
	}
	return &RefusedError{http.StatusNotFound, "version not found: " + name + "@" + version}
}

func (e *Endpoint) tags(w http.ResponseWriter, r *http.Request, name string) error {
	p, err := e.cfg.Source.Packument(r.Context(), name, Full)
	if err != nil {
		return err
	}
	return answer(w, r, p.Tags)
}
