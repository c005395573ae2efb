package npmcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/registry"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/npm/upstream"
)

// clients are those that a command of es runs behind the registry of the home.
var clients = []string{"npm", "pnpm", "yarn", "bun"}

func clientCommand(a cli.App, client string) *cobra.Command {
	return &cobra.Command{
		Use:   client + " [ARGUMENT...]",
		Short: "run " + client + " behind this home: what it installs comes through es",
		Long: `Runs ` + client + ` with these arguments and serves it, as long as it runs, what it asks
its registry for: from this home, else from the registry that npm is configured
for here. Every tarball is checked against its SHA-512 and kept; what the trust
file (pins, min-age) or an advisory of es import osv speaks against is refused.
Nothing but environment variables changes: no file of ` + client + ` is written.

Flags of es stand before ` + client + `: es --offline ` + client + ` install asks no registry.
ES_AUDIT=1 in the environment lets everything through and only tells.`,
		Example:            "  es " + client + " install",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			args, err := clientArguments(cmd, a.Args)
			if err != nil {
				return cli.Usagef(cmd, "%v", err)
			}
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			return runClient(cmd.Context(), a, client, args)
		},
	}
}

// clientArguments reads the flags of es before the client's name and returns what stands
// behind it.
func clientArguments(cmd *cobra.Command, all []string) ([]string, error) {
	flags := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.SetOutput(io.Discard)
	flags.AddFlagSet(cmd.Root().PersistentFlags())
	if err := flags.Parse(all); err != nil {
		return nil, err
	}
	return flags.Args()[1:], nil
}

// runClient serves the registry and runs the client, which ends it.
func runClient(ctx context.Context, a cli.App, client string, args []string) error {
	program, err := exec.LookPath(client)
	if err != nil {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("%s is not installed: %v", client, err), "es ci installs a package-lock.json without any other program")
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return a.WithStorage(func(h *home.Storage) error {
		from, err := openClientRegistries(a, h, dir)
		if err != nil {
			return err
		}
		defer from.Close()
		warnOfRegistries(a, from)
		told := &refusals{audit: a.Getenv("ES_AUDIT") != "" && a.Getenv("ES_AUDIT") != "0"}
		server, err := clientRegistry(a, h, from, told)
		if err != nil {
			return err
		}
		a.Linger()
		code := 0
		g, gctx := errgroup.WithContext(ctx)
		serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // the client ends first
		defer stop()
		g.Go(func() error { return server.Run(serving) })
		g.Go(func() error {
			defer stop()
			select {
			case <-gctx.Done():
				return nil
			case <-server.Ready():
			}
			code, err = startClient(gctx, program, args, clientEnvironment(ctx, from, server.Served()))
			return err
		})
		err = clientError(g.Wait(), client)
		told.print(a)
		if err == nil && code != 0 {
			return ui.Coded(code, fmt.Errorf("%s ended with exit code %d", client, code))
		}
		return err
	})
}

// openClientRegistries are those that npm is configured for in a directory, or the one that
// es node --upstream has named.
func openClientRegistries(a cli.App, h *home.Storage, dir string) (*upstream.Registries, error) {
	s, err := h.Settings()
	if err != nil {
		return nil, err
	}
	o := upstream.Options{Dir: dir, Environ: withoutOwn(os.Environ()), Getenv: a.Getenv, Agent: "es/" + cli.Version, Own: cmp.Or(s.Registry, registry.DefaultAddr)}
	if s.Upstream != "npm" {
		o.Named = s.Upstream
	}
	from, err := upstream.Open(o)
	if errors.Is(err, upstream.ErrSelf) {
		return nil, ui.Hinted(err, "name the one behind it: npm config set registry URL, or es node --registry --upstream=URL once")
	}
	return from, err
}

// clientRegistry is what the client is served by.
func clientRegistry(a cli.App, h *home.Storage, from *upstream.Registries, told *refusals) (*registry.Server, error) {
	s, err := h.Settings()
	if err != nil {
		return nil, err
	}
	cfg := registry.Config{Home: h, Addr: s.Registry, Audit: told.audit, Refused: told.add, Log: slog.New(slog.NewTextHandler(a.Err, nil))}
	cfg.From, _ = osv.ParseSeverity(s.Refuse)
	if !a.Offline {
		cfg.Registries = from
	}
	return registry.New(cfg)
}

// clientError leads on from an address that cannot be had.
func clientError(err error, client string) error {
	var taken *registry.AddrError
	if !errors.As(err, &taken) {
		return err
	}
	return ui.Hinted(err, "stop what listens there, or have es serve elsewhere, as lockfiles then name it: es node --registry=127.0.0.1:4874 once; %s alone works as ever", client)
}

// startClient runs the client to its end. Signals of the terminal reach it as they do es.
func startClient(ctx context.Context, program string, args, environment []string) (code int, err error) {
	cmd := exec.Command(program, args...)
	cmd.Env = environment
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run %s: %w", program, err)
	}
	ended := make(chan struct{})
	var interrupted sync.WaitGroup
	interrupted.Go(func() {
		select {
		case <-ended:
		case <-ctx.Done():
			_ = cmd.Process.Signal(os.Interrupt) // it may have ended just now
		}
	})
	err = cmd.Wait()
	close(ended)
	interrupted.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1), nil
	case err != nil:
		return 0, fmt.Errorf("run %s: %w", program, err)
	}
	return 0, nil
}

// ownVariables are those that clientEnvironment sets, in lower case.
var ownVariables = []string{
	"npm_config_registry", "npm_config_replace_registry_host", "npm_config_omit_lockfile_registry_resolved", "pnpm_config_registry",
	"bun_config_registry", "bun_config_token", "yarn_npm_registry_server", "yarn_npm_auth_token", "yarn_npm_always_auth", "yarn_unsafe_http_whitelist",
	"npm_config_noproxy", "no_proxy",
}

// ownMark is in the environment of a client that es runs.
const ownMark = "ES_REGISTRY"

// withoutOwn drops what another es has set for a client that now runs this one: it is no
// registry that the user has configured.
func withoutOwn(environ []string) []string {
	if !slices.ContainsFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, ownMark+"=") }) {
		return environ
	}
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		name = strings.ToLower(name)
		return slices.Contains(ownVariables, name) || strings.HasPrefix(name, "npm_config_@") || strings.HasPrefix(name, "npm_config_//")
	})
}

// clientEnvironment is what makes any of the clients ask the registry at s.
func clientEnvironment(ctx context.Context, from *upstream.Registries, s registry.Served) []string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return os.Environ()
	}
	env := slices.DeleteFunc(withoutOwn(os.Environ()), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(ownVariables, strings.ToLower(name))
	})
	env = append(env,
		ownMark+"="+s.URL,
		"npm_config_registry="+s.URL, "pnpm_config_registry="+s.URL, "npm_config_omit_lockfile_registry_resolved=true",
		"npm_config_//"+u.Host+"/:_authToken="+s.Token,
		"BUN_CONFIG_REGISTRY="+s.URL, "BUN_CONFIG_TOKEN="+s.Token,
		"YARN_NPM_REGISTRY_SERVER="+strings.TrimSuffix(s.URL, "/"), "YARN_NPM_AUTH_TOKEN="+s.Token, "YARN_NPM_ALWAYS_AUTH=true",
		"YARN_UNSAFE_HTTP_WHITELIST="+u.Hostname(),
	)
	// A proxy for all else does not reach this machine's loopback.
	direct := from.NoProxy(os.Getenv) + u.Hostname()
	env = append(env, "NO_PROXY="+direct, "no_proxy="+direct, "npm_config_noproxy="+direct)
	for _, scope := range from.Scopes() {
		env = append(env, "npm_config_"+scope+":registry="+s.URL)
	}
	// npm replaces this host in lockfiles by the registry that it asks.
	if base, err := from.Base(ctx, "x"); err == nil {
		if b, err := url.Parse(base); err == nil {
			env = append(env, "npm_config_replace_registry_host="+b.Hostname())
		}
	}
	return env
}

// refusals are what was not let through while a client ran.
type refusals struct {
	audit bool

	mu    sync.Mutex
	lines []string
}

func (t *refusals) add(r *guard.Release, why *guard.Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("(%s): %s: %s", why.Kind, r, why.Why))
}

// print tells of them, one a line, for people and for what reads the log of a CI.
func (t *refusals) print(a cli.App) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what := "refused"
	if t.audit {
		what = "would be refused"
	}
	slices.Sort(t.lines)
	for _, line := range t.lines {
		a.Warn("%s %s", what, line)
	}
}
