package npmcmd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/npm/npmrc"
	"github.com/everythingstays/es/npm/registry"
)

// errNoRegistry is that of a package of which nothing says where it comes from.
var errNoRegistry = errors.New("no registry is configured")

// registries are where packages come from: what npm is configured for in a project, or
// the one that a flag names.
type registries struct {
	config *npmrc.Config
	named  string // by the flag
	client *registry.Client

	once  sync.Once
	usual string // npm's own default
}

// openRegistries reads npm's configuration for a directory.
func openRegistries(a cli.App, dir, named string) (*registries, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		user = "" // a service without HOME: npm then has no file of the user either
	}
	config, err := npmrc.Load(npmrc.Places{Home: user, Project: dir, Prefix: nodePrefix(), Environ: os.Environ()})
	if err != nil {
		return nil, err
	}
	for _, i := range config.Ignored() {
		a.Warn("%q of the project's .npmrc is not taken: %s", i.Key, i.Why)
	}
	if named != "" {
		if named, err = npmrc.CleanURL(named); err != nil {
			return nil, err
		}
	}
	cfg, err := registry.FromNPM(config, a.Getenv)
	if err != nil {
		return nil, err
	}
	if cfg.Insecure {
		a.Warn("strict-ssl is false: the registry's certificate is not checked")
	}
	cfg.UserAgent = "es/" + cli.Version
	return &registries{config: config, named: named, client: registry.New(cfg)}, nil
}

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

// base is the URL of the registry that a package comes from, with a slash at its end.
func (r *registries) base(ctx context.Context, name string) (string, error) {
	if r.named != "" {
		return r.named, nil
	}
	base, err := r.config.Registry(name)
	if err != nil || base != "" {
		return base, err
	}
	r.once.Do(func() { r.usual = npmsDefault(ctx) })
	if r.usual == "" {
		return "", ui.Hinted(errNoRegistry, "say it with --registry URL, or to npm: npm config set registry URL")
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

// Packument asks the registry of a package.
func (r *registries) Packument(ctx context.Context, name string) (*registry.Packument, error) {
	base, err := r.base(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.client.Packument(ctx, base, name, registry.Abbreviated, registry.Validators{})
}

// hosts are those of the registries that packages came from, for people.
func (r *registries) hosts(ctx context.Context, names []string) string {
	var hosts []string
	for _, name := range names {
		base, err := r.base(ctx, name)
		if err != nil {
			continue
		}
		_, host, _ := strings.Cut(strings.TrimSuffix(base, "/"), "://")
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ", ")
}
