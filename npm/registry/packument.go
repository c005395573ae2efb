package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

// Limits of what a registry answers, in bytes after unpacking, and counts.
const (
	MaxPackument   = 256 << 20
	MaxAbbreviated = 64 << 20 // many are held at a time
	MaxVersions    = 50_000
)

// abbreviated is the media type of packuments for installing.
const abbreviated = "application/vnd.npm.install-v1+json"

// Validators make the next request for the same conditional.
type Validators struct {
	ETag         string
	LastModified string
}

// A Packument is what a registry says of a package and its versions. Nothing of it
// is signed but what a version's Signatures cover.
type Packument struct {
	Name     string
	Tags     map[string]string
	Times    map[string]time.Time // publication of each version; empty in the abbreviated form
	Versions []Version            // in the registry's order
	Modified time.Time            // by the abbreviated form; zero where it is not said
	Rest     jsontext.Value       // the other members, such as those of the full form
	Validators
}

// A Version is one version in a packument, read when it is asked for: popular
// packages have thousands.
type Version struct {
	Version string
	raw     jsontext.Value
}

// Raw is what the registry says of the version, as it says it.
func (v *Version) Raw() jsontext.Value { return v.raw }

// Dist is where a version's tarball is, and what the registry signed of it.
type Dist struct {
	Tarball     string
	Integrity   string
	SHA1        string // hex; proves nothing
	Signatures  []records.OriginSignature
	Attestation string // URL of attestations; empty without
}

// Form says which packument is asked for.
type Form bool

const (
	Abbreviated Form = false // enough to install
	Full        Form = true  // with times
)

// Packument asks for what a registry, whose URL ends with a slash, says of a
// package. It returns nil without an error if that has not changed since old was
// given.
func (c *Client) Packument(ctx context.Context, base, name string, form Form, old Validators) (*Packument, error) {
	b, validators, err := c.RawPackument(ctx, base, name, form, old)
	if b == nil || err != nil {
		return nil, err
	}
	p, err := ParsePackument(b)
	if err != nil {
		return nil, fmt.Errorf("read the packument of %q: %w", name, err)
	}
	if p.Name != name {
		return nil, fmt.Errorf("read the packument of %q: it is of %q", name, p.Name)
	}
	p.Validators = validators
	return p, nil
}

// RawPackument is Packument for who keeps it as it came: it is not read.
func (c *Client) RawPackument(ctx context.Context, base, name string, form Form, old Validators) ([]byte, Validators, error) {
	header, limit := http.Header{"Accept-Encoding": {"gzip"}}, int64(MaxAbbreviated)
	if form == Full {
		limit = MaxPackument
		header.Set("Accept", "application/json")
	} else {
		header.Set("Accept", abbreviated+"; q=1.0, application/json; q=0.8")
	}
	if old.ETag != "" {
		header.Set("If-None-Match", old.ETag)
	} else if old.LastModified != "" {
		header.Set("If-Modified-Since", old.LastModified)
	}
	resp, err := c.get(ctx, base+EscapeName(name), header)
	if err != nil {
		return nil, Validators{}, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return nil, old, resp.Body.Close()
	}
	b, err := readAll(resp, fmt.Sprintf("the packument of %q", name), limit)
	if err != nil {
		return nil, Validators{}, err
	}
	return b, Validators{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}, nil
}

// ParsePackument reads a packument of either form. It is lenient where old packages
// have odd values: what it cannot read of tags and times is passed over.
func ParsePackument(b []byte) (*Packument, error) {
	var doc struct {
		Name     string         `json:"name"`
		Tags     jsontext.Value `json:"dist-tags"`
		Times    jsontext.Value `json:"time"`
		Versions versionList    `json:"versions"`
		Modified jsontext.Value `json:"modified"`
		Rest     jsontext.Value `json:",embed"`
	}
	if err := json.Unmarshal(b, &doc, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, jsonError(err)
	}
	p := &Packument{Name: doc.Name, Tags: make(map[string]string), Times: make(map[string]time.Time), Versions: doc.Versions, Rest: doc.Rest}
	var modified string
	if doc.Modified.Kind() == '"' && json.Unmarshal(doc.Modified, &modified) == nil {
		if at, err := time.Parse(time.RFC3339, modified); err == nil {
			p.Modified = at
		}
	}
	for tag, version := range textFields(doc.Tags) {
		p.Tags[tag] = version
	}
	for version, text := range textFields(doc.Times) {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			p.Times[version] = at
		}
	}
	return p, nil
}

// jsonError leaves out which type of Go a value has not.
func jsonError(err error) error {
	var value *json.SemanticError
	switch {
	case !errors.As(err, &value):
		return fmt.Errorf("it is not JSON: %v", err)
	case value.Err != nil:
		return value.Err
	}
	return fmt.Errorf("%q has a value of another type of JSON", value.JSONPointer)
}

// Find returns a version of the packument.
func (p *Packument) Find(version string) (*Version, bool) {
	for i := range p.Versions {
		if p.Versions[i].Version == version {
			return &p.Versions[i], true
		}
	}
	return nil, false
}

// Dist reads where the version's tarball is.
func (v *Version) Dist() (Dist, error) {
	var doc struct {
		Dist struct {
			Tarball    string         `json:"tarball"`
			Integrity  string         `json:"integrity"`
			SHA1       string         `json:"shasum"`
			Signatures jsontext.Value `json:"signatures"`
			Attested   jsontext.Value `json:"attestations"`
		} `json:"dist"`
	}
	if err := json.Unmarshal(v.raw, &doc, jsontext.AllowInvalidUTF8(true)); err != nil {
		return Dist{}, fmt.Errorf("read version %q: %v", v.Version, err)
	}
	d := Dist{Tarball: doc.Dist.Tarball, Integrity: doc.Dist.Integrity, SHA1: doc.Dist.SHA1}
	if d.Tarball == "" {
		return Dist{}, fmt.Errorf("read version %q: it has no dist.tarball", v.Version)
	}
	var signatures []struct {
		KeyID     string `json:"keyid"`
		Signature []byte `json:"sig"`
	}
	if len(doc.Dist.Signatures) > 0 && json.Unmarshal(doc.Dist.Signatures, &signatures) == nil {
		for _, s := range signatures[:min(len(signatures), records.MaxOriginSigs)] {
			if s.KeyID != "" && len(s.Signature) > 0 {
				d.Signatures = append(d.Signatures, records.OriginSignature{KeyID: s.KeyID, Signature: s.Signature})
			}
		}
	}
	d.Attestation = textFields(doc.Dist.Attested)["url"]
	return d, nil
}

// Hints are what a registry says of a version's package.json. Nobody signed it: the
// tarball's own package.json is what counts.
type Hints struct {
	Dependencies, Optional, Peers map[string]string
	OptionalPeers                 map[string]bool
	OS, CPU, Libc                 []string
	Deprecated                    bool
}

// Hints reads what the registry says of the version; what it cannot read it passes
// over.
func (v *Version) Hints() Hints {
	var doc struct {
		Dependencies jsontext.Value `json:"dependencies"`
		Optional     jsontext.Value `json:"optionalDependencies"`
		Peers        jsontext.Value `json:"peerDependencies"`
		PeersMeta    jsontext.Value `json:"peerDependenciesMeta"`
		OS           jsontext.Value `json:"os"`
		CPU          jsontext.Value `json:"cpu"`
		Libc         jsontext.Value `json:"libc"`
		Deprecated   jsontext.Value `json:"deprecated"`
	}
	if json.Unmarshal(v.raw, &doc, jsontext.AllowInvalidUTF8(true)) != nil {
		return Hints{}
	}
	h := Hints{
		Dependencies: textFields(doc.Dependencies), Optional: textFields(doc.Optional), Peers: textFields(doc.Peers),
		OS: npm.Words(doc.OS), CPU: npm.Words(doc.CPU), Libc: npm.Words(doc.Libc),
		Deprecated: isTruthy(doc.Deprecated),
	}
	var meta map[string]struct {
		Optional bool `json:"optional"`
	}
	if len(doc.PeersMeta) > 0 && json.Unmarshal(doc.PeersMeta, &meta) == nil {
		h.OptionalPeers = make(map[string]bool)
		for name, m := range meta {
			h.OptionalPeers[name] = m.Optional
		}
	}
	return h
}

// isTruthy reports what JavaScript makes of a value: "deprecated" may be false or "".
func isTruthy(v jsontext.Value) bool {
	switch s := string(v); s {
	case "", "null", "false", `""`, "0":
		return false
	}
	return true
}

// textFields returns the fields of an object whose values are texts; nothing of
// what is no object.
func textFields(v jsontext.Value) map[string]string {
	var all map[string]jsontext.Value
	if len(v) == 0 || json.Unmarshal(v, &all, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	fields := make(map[string]string, len(all))
	for name, value := range all {
		var text string
		if value.Kind() == '"' && json.Unmarshal(value, &text, jsontext.AllowInvalidUTF8(true)) == nil {
			fields[name] = text
		}
	}
	return fields
}

// A versionList keeps versions unread, in their order.
type versionList []Version

func (l *versionList) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return errors.New("versions is not an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if len(*l) == MaxVersions {
			return fmt.Errorf("more than %d versions", MaxVersions)
		}
		version := name.String()
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		*l = append(*l, Version{version, raw.Clone()})
	}
	_, err := d.ReadToken()
	return err
}

// errorField is the text of a registry's error.
func errorField(b []byte) string {
	var doc struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(b, &doc) != nil {
		return ""
	}
	return doc.Error
}

// Keys asks for the keys that the registry signs with.
func (c *Client) Keys(ctx context.Context, base string) ([]npm.SigningKey, error) {
	b, err := c.document(ctx, base+"-/npm/v1/keys", "the registry's keys", npm.MaxKeysJSON)
	if err != nil {
		return nil, err
	}
	return npm.ParseKeys(b)
}

// Attestations asks for what the registry has about one release. Only the path of
// the URL in a packument counts: the registry that is configured answers.
func (c *Client) Attestations(ctx context.Context, base, name, version string) ([]npm.Attestation, error) {
	target := base + "-/npm/v1/attestations/" + EscapeName(name) + "@" + version
	b, err := c.document(ctx, target, "attestations", npm.MaxAttestations)
	if err != nil {
		return nil, err
	}
	return npm.ParseAttestations(b)
}

func (c *Client) document(ctx context.Context, target, what string, limit int64) ([]byte, error) {
	resp, err := c.get(ctx, target, http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}})
	if err != nil {
		return nil, err
	}
	return readAll(resp, what, limit)
}
