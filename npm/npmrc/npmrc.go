// Package npmrc reads the configuration files of npm: which registry a package
// comes from, what proves who asks, and how it is reached (SPEC.md section 17).
// It never runs npm, writes nothing, and does not look at the process's
// environment: the caller gives it.
//
// A project's file came with a repository. Environment variables are not
// expanded in it, since that would send a CI's secrets to whom the file names,
// and what weakens the connection is not taken from it ([Q21]).
package npmrc

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// MaxFile is how many bytes a file may have.
const MaxFile = 1 << 20

// A Source is whose file it is, later ones overruling earlier ones.
type Source uint8

const (
	Global      Source = iota // npm's own and the machine's
	User                      // ~/.npmrc
	Project                   // beside a package.json
	Environment               // npm_config_... of the process
)

// Config is what all files and the environment say together. The zero Config has
// no registry.
type Config struct {
	settings map[string]setting
	ignored  []Ignored
}

type setting struct {
	values []string
	source Source
}

// Ignored is a setting that was not taken, and why.
type Ignored struct {
	Key, Why string
}

// Ignored returns what was not taken, in the order of the files.
func (c *Config) Ignored() []Ignored { return c.ignored }

// ownersOnly are settings that decide whom a connection trusts, or lead it
// elsewhere: not for a file that came with a repository.
var ownersOnly = []string{"ca", "cafile", "https-proxy", "no-proxy", "noproxy", "proxy", "strict-ssl"}

// ofOwner reports whether a project's file does not decide the setting. A client
// certificate is a file of the user's, wherever it is shown.
func ofOwner(key string) bool {
	return slices.Contains(ownersOnly, key) || strings.HasSuffix(key, ":certfile") || strings.HasSuffix(key, ":keyfile")
}

// Add takes the settings of a file's text; a Project's is to be the last. env gives the variables to expand; it
// is not asked for a Project's file.
func (c *Config) Add(source Source, text string, env func(name string) (value string, ok bool)) {
	if c.settings == nil {
		c.settings = make(map[string]setting)
	}
	for _, line := range parse(text) {
		key, value := line.key, line.value
		if source == Project {
			if ofOwner(key) {
				c.ignored = append(c.ignored, Ignored{key, "a project's .npmrc does not decide it; put it into ~/.npmrc"})
				continue
			}
			if hasVariable(key) || hasVariable(value) {
				c.ignored = append(c.ignored, Ignored{key, "variables are not expanded in a project's .npmrc; put it into ~/.npmrc"})
				continue
			}
			if c.wouldLeak(key, value) {
				c.ignored = append(c.ignored, Ignored{key, "what proves who you are would be sent without TLS; put it into ~/.npmrc"})
				continue
			}
		} else {
			key, value = expand(key, env), expand(value, env)
		}
		c.set(source, key, value, line.list)
	}
}

// Set takes one setting of the environment or a command line.
func (c *Config) Set(key, value string) {
	if c.settings == nil {
		c.settings = make(map[string]setting)
	}
	c.set(Environment, key, value, false)
}

func (c *Config) set(source Source, key, value string, list bool) {
	if old, ok := c.settings[key]; ok {
		if old.source > source {
			return
		}
		if list && old.source == source {
			c.settings[key] = setting{append(old.values, value), source}
			return
		}
	}
	c.settings[key] = setting{[]string{value}, source}
}

// wouldLeak reports whether a registry of a project's file would be sent, without TLS, what
// somebody else has set. This machine's are let through.
func (c *Config) wouldLeak(key, value string) bool {
	if key != "registry" && !strings.HasSuffix(key, ":registry") {
		return false
	}
	u, err := url.Parse(value)
	return err == nil && u.Scheme == "http" && !IsLoopback(u) && c.hasOwnersCredentials(u.Host)
}

// hasOwnersCredentials reports whether anybody but a project's file says what proves to a
// host who asks.
func (c *Config) hasOwnersCredentials(host string) bool {
	for key, s := range c.settings {
		at, field, _ := strings.Cut(strings.TrimPrefix(key, "//"), "/")
		isSecret := strings.HasSuffix(field, ":_authToken") || strings.HasSuffix(field, ":_auth") || strings.HasSuffix(field, ":_password")
		if strings.HasPrefix(key, "//") && at == host && isSecret && s.source != Project {
			return true
		}
	}
	return false
}

// IsLoopback reports whether a URL's host is this machine.
func IsLoopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// Get returns the last value of a setting.
func (c *Config) Get(key string) (string, bool) {
	s, ok := c.settings[key]
	if !ok {
		return "", false
	}
	return s.values[len(s.values)-1], true
}

// All returns the values of a setting that may stand several times (ca[]).
func (c *Config) All(key string) []string { return c.settings[key].values }

// Registry returns the URL of the registry that a package of this name comes
// from, with a slash at its end; "" without one. It is an error if what the files
// say is not a URL of http or https.
func (c *Config) Registry(name string) (string, error) {
	key := "registry"
	if scope, _, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(scope, "@") {
		if _, ok := c.Get(scope + ":registry"); ok {
			key = scope + ":registry"
		}
	}
	text, ok := c.Get(key)
	if !ok || text == "" {
		return "", nil
	}
	return CleanURL(text)
}

// CleanURL checks a registry's URL and ends it with a slash.
func CleanURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("registry %q: not a URL of https or http", text)
	}
	if u.User != nil {
		return "", fmt.Errorf("registry %q: has a password in it; set it as //%s/:_authToken", u.Redacted(), u.Host)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u.String(), nil
}

// Credentials prove to a registry who asks.
type Credentials struct {
	Authorization string // the header's value; empty without
	CertFile      string // of a client certificate, PEM
	KeyFile       string
}

// Credentials returns what is to be sent to this URL: of the longest path of its
// host and port that has any. What is set for one host is sent to no other.
func (c *Config) Credentials(u *url.URL) Credentials {
	for key := "//" + u.Host + u.EscapedPath(); len(key) > len("//"); key = shorter(key) {
		if found, ok := c.credentialsAt(key); ok {
			return found
		}
	}
	return Credentials{}
}

// shorter removes the last element of a path, or the slash at its end.
func shorter(key string) string {
	if strings.HasSuffix(key, "/") {
		return key[:len(key)-1]
	}
	return key[:strings.LastIndexByte(key, '/')+1]
}

func (c *Config) credentialsAt(key string) (Credentials, bool) {
	var found Credentials
	get := func(field string) string {
		v, _ := c.Get(key + ":" + field)
		return v
	}
	if cert, file := get("certfile"), get("keyfile"); cert != "" && file != "" {
		found.CertFile, found.KeyFile = cert, file
	}
	switch {
	case get("_authToken") != "":
		found.Authorization = "Bearer " + get("_authToken")
	case get("_auth") != "":
		found.Authorization = "Basic " + get("_auth")
	case get("username") != "" && get("_password") != "":
		password, err := base64.StdEncoding.DecodeString(get("_password"))
		if err == nil {
			found.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(get("username")+":"+string(password)))
		}
	}
	return found, found != Credentials{}
}

// Scopes are those that have a registry of their own, as "@acme", sorted.
func (c *Config) Scopes() []string {
	var scopes []string
	for key := range c.settings {
		if scope, ok := strings.CutSuffix(key, ":registry"); ok && strings.HasPrefix(scope, "@") {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}
