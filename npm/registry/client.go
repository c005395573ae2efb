package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/npm/npmrc"
)

// Limits of a Client.
const (
	MaxConnections = 64 // to one registry at a time
	MaxAttempts    = 4  // of one request
	MaxRedirects   = 5  // of one request
	maxRetryAfter  = 2 * time.Minute
	maxErrorBody   = 4 << 10 // bytes of an error's text that are read
)

// Config says how registries are reached.
type Config struct {
	Credentials func(*url.URL) npmrc.Credentials // nil: none
	Proxy       func(*http.Request) (*url.URL, error)
	RootCAs     *x509.CertPool // nil: the system's
	Insecure    bool           // strict-ssl=false of the user: certificates are not checked
	UserAgent   string

	HeaderTimeout time.Duration // until an answer begins; default 30 s
	StallTimeout  time.Duration // without minProgress bytes of a body; default 30 s
	Pause         time.Duration // before the second attempt; doubles; default 1 s
}

// minProgress is what a body must bring in each StallTimeout: a registry that drips
// is as one that hangs.
const minProgress = 4 << 10

// A Client asks registries. It is safe for concurrent use.
type Client struct {
	cfg   Config
	http  *http.Client
	plain *http.Transport // without a client certificate

	mu           sync.Mutex
	certificates map[npmrc.Credentials]*http.Transport // by the files of a client certificate
}

// New returns a Client. HTTP/1.1 over several connections is quicker than one
// congestion window of HTTP/2 for many small files, so it speaks that alone.
func New(cfg Config) *Client {
	if cfg.HeaderTimeout == 0 {
		cfg.HeaderTimeout = 30 * time.Second
	}
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = 30 * time.Second
	}
	if cfg.Pause == 0 {
		cfg.Pause = time.Second
	}
	if cfg.Credentials == nil {
		cfg.Credentials = func(*url.URL) npmrc.Credentials { return npmrc.Credentials{} }
	}
	c := &Client{cfg: cfg, certificates: make(map[npmrc.Credentials]*http.Transport)}
	c.plain = c.connect(nil)
	c.http = &http.Client{CheckRedirect: c.checkRedirect, Transport: byCertificate{c}}
	return c
}

// byCertificate sends each request over connections that show the client certificate of
// its own URL: one for a registry is not shown to where that redirects.
type byCertificate struct{ c *Client }

func (t byCertificate) RoundTrip(req *http.Request) (*http.Response, error) {
	connections, err := t.c.connections(t.c.cfg.Credentials(req.URL))
	if err != nil {
		return nil, err
	}
	return connections.RoundTrip(req)
}

func (c *Client) connect(certificates []tls.Certificate) *http.Transport {
	return &http.Transport{
		Proxy:                 c.cfg.Proxy,
		MaxConnsPerHost:       MaxConnections,
		MaxIdleConnsPerHost:   MaxConnections,
		IdleConnTimeout:       4 * time.Second,
		ResponseHeaderTimeout: c.cfg.HeaderTimeout,
		TLSHandshakeTimeout:   c.cfg.HeaderTimeout,
		DisableCompression:    true, // asked for and undone in body, within limits
		TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig: &tls.Config{
			RootCAs: c.cfg.RootCAs, InsecureSkipVerify: c.cfg.Insecure, Certificates: certificates,
		},
	}
}

// Close ends idle connections.
func (c *Client) Close() {
	c.plain.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.certificates {
		h.CloseIdleConnections()
	}
}

// A certificateError says that a client certificate cannot be read.
type certificateError struct {
	file string
	err  error
}

func (e *certificateError) Error() string {
	return fmt.Sprintf("read client certificate %q: %v", e.file, e.err)
}

func (e *certificateError) Unwrap() error { return e.err }

// connections returns those that show the certificate of these credentials.
func (c *Client) connections(credentials npmrc.Credentials) (*http.Transport, error) {
	if credentials.CertFile == "" {
		return c.plain, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	files := npmrc.Credentials{CertFile: credentials.CertFile, KeyFile: credentials.KeyFile}
	if h, ok := c.certificates[files]; ok {
		return h, nil
	}
	certificate, err := readKeyPair(files)
	if err != nil {
		return nil, &certificateError{files.CertFile, err}
	}
	h := c.connect([]tls.Certificate{certificate})
	c.certificates[files] = h
	return h, nil
}

// readKeyPair reads a client certificate and its key, which are regular files of a size.
func readKeyPair(files npmrc.Credentials) (tls.Certificate, error) {
	certificate, err := regularfile.Read(files.CertFile, maxCAFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := regularfile.Read(files.KeyFile, maxCAFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// checkRedirect follows a registry to where it keeps its files, but not from TLS to
// plain text. What proves who asks is what is configured for there, and is not sent in
// plain text to where a registry leads: net/http alone would take it along to another
// port of the host.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= MaxRedirects {
		return &redirectError{fmt.Sprintf("more than %d redirects", MaxRedirects)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return &redirectError{"redirected from https to http"}
	}
	req.Header.Del("Authorization")
	if a := c.cfg.Credentials(req.URL).Authorization; a != "" && (req.URL.Scheme == "https" || req.URL.Host == via[0].URL.Host || npmrc.IsLoopback(req.URL)) {
		req.Header.Set("Authorization", a)
	}
	return nil
}

// A redirectError says why a redirect is not followed, now and later.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// A StatusError is an answer that is not what was asked for.
type StatusError struct {
	URL    string // without credentials
	Status int
	Text   string // what the registry said, quoted by who shows it; may be empty
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: the registry answers %d %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Text != "" {
		s += fmt.Sprintf(" (%q)", e.Text)
	}
	return s
}

// MayPass reports whether what failed may work in a while: the registry was not reached,
// broke off, or was busy.
func MayPass(err error) bool {
	var status *StatusError
	var network net.Error
	switch {
	case errors.As(err, &status):
		return isBusy(status.Status)
	case isFinal(err):
		return false
	}
	return errors.As(err, &network) || errors.Is(err, ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isBusy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// Missing reports whether err says that the registry does not have what was asked.
func Missing(err error) bool {
	var e *StatusError
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// get sends a GET until it has an answer with 200 or 304, and returns it with a body
// that ends with an error when it stalls. It tries again after what may pass: lost
// connections, 408, 429 and 5xx.
func (c *Client) get(ctx context.Context, target string, header http.Header) (*http.Response, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("ask a registry: %v", err)
	}
	pause := c.cfg.Pause
	for attempt := 1; ; attempt++ {
		resp, wait, err := c.attempt(ctx, u, header)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if wait < 0 || attempt == MaxAttempts {
			return nil, err
		}
		if err := sleep(ctx, max(wait, pause)); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// attempt sends one request. On an error, wait is how long the registry asks to wait
// before the next; less than 0 if another would be no better.
func (c *Client) attempt(ctx context.Context, u *url.URL, header http.Header) (_ *http.Response, wait time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			cancel(nil)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, -1, fmt.Errorf("ask a registry: %v", err)
	}
	req.Header = header.Clone()
	if c.cfg.UserAgent != "" {
		req.Header.Set("User-Agent", c.cfg.UserAgent)
	}
	if a := c.cfg.Credentials(u).Authorization; a != "" {
		req.Header.Set("Authorization", a)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if isFinal(err) {
			wait = -1
		}
		return nil, wait, fmt.Errorf("ask %s: %w", u.Redacted(), withoutURL(err))
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNotModified:
		resp.Body = newStallReader(resp.Body, c.cfg.StallTimeout, cancel)
		return resp, 0, nil
	}
	defer resp.Body.Close()
	failure := &StatusError{URL: u.Redacted(), Status: resp.StatusCode, Text: errorText(resp)}
	if isBusy(resp.StatusCode) {
		return nil, retryAfter(resp.Header.Get("Retry-After")), failure
	}
	return nil, -1, failure
}

// isFinal reports whether another request would fail in the same way.
func isFinal(err error) bool {
	var server *tls.CertificateVerificationError
	var client *certificateError
	var redirect *redirectError
	return errors.As(err, &server) || errors.As(err, &client) || errors.As(err, &redirect)
}

// withoutURL drops the URL that net/http puts before its errors.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// retryAfter reads seconds or a date, at most maxRetryAfter.
func retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	if d, err := time.ParseDuration(value + "s"); err == nil {
		return min(max(d, 0), maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}

// errorText is the "error" of a registry's JSON, else nothing: pages of HTML say
// nothing to who reads a terminal.
func errorText(resp *http.Response) string {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return ""
	}
	return errorField(b)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// EscapeName writes a package's name as one element of a URL's path, as registries
// expect it: the slash of a scope escaped.
func EscapeName(name string) string {
	return strings.Replace(url.PathEscape(name), "%40", "@", 1)
}
