package endpoint

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
)

// Limits of an Endpoint.
const (
	MaxAuditBody   = 32 << 20  // bytes, unpacked
	MaxPublishBody = 512 << 20 // bytes
	maxCached      = 128 << 20 // bytes of packuments that are kept encoded
)

// Config says what is served and how.
type Config struct {
	Source Source
	// Base is the URL that clients know the endpoint by, with a slash at its end:
	// tarballs are below it.
	Base string
	// Hosts are further Host headers than Base's that are answered.
	Hosts []string
	Log   *slog.Logger
}

// An Endpoint is an http.Handler.
type Endpoint struct {
	cfg   Config
	hosts map[string]bool
	docs  documents
}

// New returns an Endpoint. Base must be a URL of http or https.
func New(cfg Config) (*Endpoint, error) {
	base, err := url.Parse(cfg.Base)
	if err != nil || base.Host == "" || !strings.HasSuffix(base.Path, "/") {
		return nil, errors.New("serve the registry protocol: " + cfg.Base + " is not a URL that ends with a slash")
	}
	e := &Endpoint{cfg: cfg, hosts: map[string]bool{base.Host: true}}
	e.docs.max = maxCached
	if _, port, err := net.SplitHostPort(base.Host); err == nil {
		e.hosts[net.JoinHostPort("localhost", port)] = true
	}
	for _, h := range cfg.Hosts {
		e.hosts[h] = true
	}
	return e, nil
}

// ServeHTTP answers one request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := e.serve(w, r); err != nil {
		e.refuse(w, r, err)
	}
}

var errNotFound = &RefusedError{http.StatusNotFound, "there is no such thing here"}

func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request) error {
	if !e.hosts[r.Host] {
		return &RefusedError{http.StatusForbidden, "asked for another host than this registry is"}
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Mode") != "" && r.Header.Get("Sec-Fetch-Mode") != "cors" {
		return &RefusedError{http.StatusForbidden, "this registry is not for pages in a browser"}
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	path = strings.TrimPrefix(path, npmPrefix)
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		return &RefusedError{http.StatusBadRequest, "the path is not one"}
	}
	if rest, ok := strings.CutPrefix(unescaped, "-/"); ok {
		return e.service(w, r, rest)
	}
	if r.Method == http.MethodPut {
		return e.publish(w, r, unescaped)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &RefusedError{http.StatusMethodNotAllowed, "this registry does not do that"}
	}
	name, rest := splitName(unescaped)
	if name == "" {
		return errNotFound
	}
	if err := e.admit(r, name); err != nil {
		return err
	}
	if rest == "" {
		return e.packument(w, r, name)
	}
	if file, ok := strings.CutPrefix(rest, "-/"); ok {
		return e.tarball(w, r, name, file)
	}
	return e.version(w, r, name, rest)
}

// admit refuses who brings no token for a package that is not for everybody.
func (e *Endpoint) admit(r *http.Request, name string) error {
	private, err := e.cfg.Source.Private(r.Context(), name)
	if err != nil || !private {
		return err
	}
	_, err = e.user(r)
	return err
}

// splitName cuts the name of a package from the front of a path.
func splitName(path string) (name, rest string) {
	name, rest, _ = strings.Cut(path, "/")
	if strings.HasPrefix(name, "@") {
		base, after, _ := strings.Cut(rest, "/")
		if base == "" {
			return "", ""
		}
		return name + "/" + base, after
	}
	return name, rest
}

// service answers what is below /-/.
func (e *Endpoint) service(w http.ResponseWriter, r *http.Request, path string) error {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case path == "ping" && read:
		return answer(w, r, struct{}{})
	case path == "whoami" && read:
		return e.whoami(w, r)
	case path == "v1/search" && read:
		return e.search(w, r)
	case path == "npm/v1/security/advisories/bulk" && r.Method == http.MethodPost:
		return e.audit(w, r)
	case strings.HasPrefix(path, "package/") && strings.HasSuffix(path, "/dist-tags") && read:
		name := strings.TrimSuffix(strings.TrimPrefix(path, "package/"), "/dist-tags")
		if err := e.admit(r, name); err != nil {
			return err
		}
		return e.tags(w, r, name)
	}
	return errNotFound
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// Who has left reads no answer.
		_, _ = w.Write(b)
	}
	return nil
}

// refuse answers with an error, which clients show to their user.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		if r.Context().Err() != nil {
			return // the client has left
		}
		e.cfg.Log.Error("serve the registry protocol", "path", r.URL.Path, "err", err)
		refused = &RefusedError{http.StatusInternalServerError, "this node cannot answer now; its log says why"}
	}
	b, err := json.Marshal(map[string]string{"error": refused.Text})
	if err != nil {
		b = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	if refused.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(refused.Status)
	if r.Method != http.MethodHead {
		// Who has left reads no error.
		_, _ = w.Write(b)
	}
}

func (e *Endpoint) whoami(w http.ResponseWriter, r *http.Request) error {
	user, err := e.user(r)
	if err != nil {
		return err
	}
	return answer(w, r, map[string]string{"username": user})
}

// user is whose token a request brings.
func (e *Endpoint) user(r *http.Request) (string, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && token != "" {
		user, err := e.cfg.Source.User(r.Context(), token)
		if err != nil {
			return "", err
		}
		if user != "" {
			return user, nil
		}
	}
	return "", &RefusedError{http.StatusUnauthorized, "this needs a token of this node"}
}
