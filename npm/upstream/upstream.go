// Package upstream finds the registry that a package comes from, as npm is configured for
// it in a directory, and asks it. No registry is built in: where no file of npm's names
// one, npm itself is asked for its default.
package upstream

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/npmrc"
	"github.com/everythingstays/es/npm/registry"
)

// ErrNone is that of a package of which nothing says where it comes from.
var ErrNone = errors.New("no registry is configured")

// ErrSelf says that npm is configured for the registry that this home serves itself.
var ErrSelf = errors.New("npm is configured for the registry of this home, which gets nothing from itself")

// Options say what is read.
type Options struct {
	Dir     string   // a project, whose .npmrc counts; empty for none
	Named   string   // the registry of all packages, in place of what npm is configured for
	Environ []string // as of os.Environ
	Getenv  func(string) string
	Agent   string // of the HTTP requests
	// Own is the host and port of the registry that asks. A project's .npmrc that names
	// it, so that its clients ask there, does not say where it gets packages from.
	Own string
}

// Registries are where packages come from.
type Registries struct {
	config   *npmrc.Config
	named    string
	client   *registry.Client
	insecure bool

	once  sync.Once
	usual string // npm's own default
}

// Open reads npm's configuration. Close must be called.
func Open(o Options) (*Registries, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		user = "" // a service without HOME: npm then has no file of the user either
	}
	places := npmrc.Places{Home: user, Project: o.Dir, Prefix: nodePrefix(), Environ: o.Environ}
	config, err := npmrc.Load(places)
	if err == nil && o.Named == "" && isAt(config, o.Own) {
		places.Project = ""
		if config, err = npmrc.Load(places); err == nil && isAt(config, o.Own) {
			err = ErrSelf
		}
	}
	if err != nil {
		return nil, err
	}
	named := o.Named
	if named != "" {
		if named, err = npmrc.CleanURL(named); err != nil {
			return nil, err
		}
	}
	cfg, err := registry.FromNPM(config, o.Getenv)
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = o.Agent
	return &Registries{config: config, named: named, client: registry.New(cfg), insecure: cfg.Insecure}, nil
}

// isAt reports whether the usual registry is at a host and port.
func isAt(config *npmrc.Config, own string) bool {
	base, err := config.Registry("x")
	if err != nil || own == "" {
		return false
	}
	u, err := url.Parse(base)
	return err == nil && u.Host == own
}

// Close ends idle connections.
func (r *Registries) Close() { r.client.Close() }

// Client asks the registries.
func (r *Registries) Client() *registry.Client { return r.client }

// Ignored are the settings of the project's .npmrc that are not taken.
func (r *Registries) Ignored() []npmrc.Ignored { return r.config.Ignored() }

// Insecure reports whether certificates are not checked.
func (r *Registries) Insecure() bool { return r.insecure }

// nodePrefix is the directory above the one with node; "" without node.
func nodePrefix() string {
	path, err := exec.LookPath("node")
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return filepath.Dir(filepath.Dir(path))
}

// Base is the URL of the registry that a package comes from, with a slash at its end.
func (r *Registries) Base(ctx context.Context, name string) (string, error) {
	if r.named != "" {
		return r.named, nil
	}
	base, err := r.config.Registry(name)
	if err != nil || base != "" {
		return base, err
	}
	r.once.Do(func() { r.usual = npmsDefault(ctx) })
	if r.usual == "" {
		return "", ErrNone
	}
	return npmrc.CleanURL(r.usual)
}

// npmsDefault asks npm for the registry that it uses where no file names one; "" without
// npm. It runs where no project's file is read.
func npmsDefault(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "config", "get", "registry")
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// Private reports whether the registry of a package is told who asks: others are not to
// get what it then gives.
func (r *Registries) Private(ctx context.Context, name string) (bool, error) {
	base, err := r.Base(ctx, name)
	if err != nil {
		return false, err
	}
	u, err := url.Parse(base + registry.EscapeName(name))
	if err != nil {
		return false, fmt.Errorf("read the registry of %q: %v", name, err)
	}
	return r.config.Credentials(u) != npmrc.Credentials{}, nil
}

// Packument asks the registry of a package, whose URL is base.
func (r *Registries) Packument(ctx context.Context, base, name string, form registry.Form, old registry.Validators) ([]byte, registry.Validators, error) {
	return r.client.RawPackument(ctx, base, name, form, old)
}

// Keys are those that the registry at base says it signs with.
func (r *Registries) Keys(ctx context.Context, base string) ([]npm.SigningKey, error) {
	return r.client.Keys(ctx, base)
}

// Tarball is that of the client.
func (r *Registries) Tarball(ctx context.Context, target string, want *[sha512.Size]byte, limit int64, w io.Writer) (int64, [sha512.Size]byte, error) {
	return r.client.Tarball(ctx, target, want, limit, w)
}

// NoProxy are the hosts that are reached without a proxy, each with a comma behind it.
func (r *Registries) NoProxy(getenv func(string) string) string {
	all := ""
	for _, key := range []string{"noproxy", "no-proxy"} {
		if v, ok := r.config.Get(key); ok && v != "" && v != "null" {
			all += v + ","
		}
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if v := getenv(name); v != "" && !strings.Contains(all, v) {
			all += v + ","
		}
	}
	return all
}

// Scopes are those that have a registry of their own, as "@acme".
func (r *Registries) Scopes() []string { return r.config.Scopes() }
