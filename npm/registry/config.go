package registry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/npm/npmrc"
)

// maxCAFile is how many bytes a file of certificates may have.
const maxCAFile = 8 << 20

// FromNPM reads how registries are reached from npm's configuration and the
// environment's variables for proxies: cafile, ca, strict-ssl, proxy, https-proxy and
// noproxy.
func FromNPM(c *npmrc.Config, getenv func(string) string) (Config, error) {
	cfg := Config{Credentials: c.Credentials, Proxy: proxy(c, getenv)}
	if v, ok := c.Get("strict-ssl"); ok && v == "false" {
		cfg.Insecure = true
	}
	var err error
	cfg.RootCAs, err = rootCAs(c)
	if err != nil {
		return Config{}, err
	}
	return cfg, nil
}

func proxy(c *npmrc.Config, getenv func(string) string) func(*http.Request) (*url.URL, error) {
	first := func(keys []string, variables ...string) string {
		for _, key := range keys {
			if v, ok := c.Get(key); ok && v != "" && v != "null" && v != "false" {
				return v
			}
		}
		for _, name := range variables {
			if v := getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	https := first([]string{"https-proxy", "proxy"}, "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
	p := httpproxy.Config{
		HTTPSProxy: https,
		HTTPProxy:  first([]string{"proxy"}, "HTTP_PROXY", "http_proxy"),
		NoProxy:    first([]string{"noproxy", "no-proxy"}, "NO_PROXY", "no_proxy"),
	}
	choose := p.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// rootCAs are the certificates that the configuration gives, which npm then trusts
// instead of the system's; nil without any.
func rootCAs(c *npmrc.Config) (*x509.CertPool, error) {
	var texts []string
	for _, ca := range c.All("ca") {
		if ca != "" && ca != "null" {
			texts = append(texts, strings.ReplaceAll(ca, `\n`, "\n"))
		}
	}
	if file, ok := c.Get("cafile"); ok && file != "" && file != "null" {
		b, err := regularfile.Read(file, maxCAFile)
		if err != nil {
			return nil, fmt.Errorf("read npm's cafile: %w", err)
		}
		texts = append(texts, string(b))
	}
	if texts == nil {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, text := range texts {
		if !pool.AppendCertsFromPEM([]byte(text)) {
			return nil, errors.New("read npm's certificates: ca or cafile has none in PEM")
		}
	}
	return pool, nil
}

// TarballURL is where a registry has the tarball of a release, by the path that all
// registries have. A lockfile's own URL is taken where it is of the same host and has
// another path; of another host it is not, since bytes are asked of the registry that
// the user configured: ok is false then.
func TarballURL(base, name, version, resolved string) (target string, ok bool) {
	file := "/-/" + name[strings.IndexByte(name, '/')+1:] + "-" + version + ".tgz"
	if resolved == "" || strings.HasSuffix(resolved, "/"+name+file) || strings.HasSuffix(resolved, "/"+EscapeName(name)+file) {
		return base + name + file, true
	}
	u, err := url.Parse(resolved)
	if err != nil {
		return "", false
	}
	b, err := url.Parse(base)
	if err != nil || u.Host != b.Host || u.Scheme != b.Scheme {
		return "", false
	}
	return resolved, true
}
