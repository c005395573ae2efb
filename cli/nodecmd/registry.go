package nodecmd

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/registry"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/npm/upstream"
)

// registryOptions are flags about the registry for npm's clients; audit alone is not
// remembered.
type registryOptions struct {
	registry, upstream, refuse string
	audit                      bool
}

// asNPM is --upstream without a value: the registries that npm is configured for.
const asNPM = "npm"

func (o *registryOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.registry, "registry", "", "serve npm's clients what this home has imported, on this address of loopback, or none")
	f.Lookup("registry").NoOptDefVal = registry.DefaultAddr
	f.StringVar(&o.upstream, "upstream", "", "with --registry: import what is asked for from the registry that npm is configured for, or from this URL; none asks nobody")
	f.Lookup("upstream").NoOptDefVal = asNPM
	f.StringVar(&o.refuse, "refuse", "", "with --registry: refuse what has a vulnerability of this severity or worse by the advisories of es import osv: low, moderate, high, critical, or none for malware alone")
	f.BoolVar(&o.audit, "audit", false, "with --registry: let everything through, and only tell what would be refused")
}

func (o *registryOptions) check(cmd *cobra.Command, s home.Settings) error {
	if o.registry != "" && o.registry != noAddress {
		if err := registry.CheckAddr(o.registry); err != nil {
			return cli.Usagef(cmd, "--registry: %v", err)
		}
	}
	if _, ok := osv.ParseSeverity(o.refuse); o.refuse != "" && o.refuse != noAddress && !ok {
		return cli.Usagef(cmd, "--refuse %q is not low, moderate, high, critical or none", o.refuse)
	}
	if o.over(s).Registry == "" && (o.audit || o.upstream != "" || o.refuse != "") {
		return cli.Usagef(cmd, "--upstream, --refuse and --audit are for the registry: add --registry")
	}
	return nil
}

// over returns the settings with what the flags say in place of what they said.
func (o *registryOptions) over(s home.Settings) home.Settings {
	for _, f := range []struct {
		given string
		have  *string
	}{{o.registry, &s.Registry}, {o.upstream, &s.Upstream}, {o.refuse, &s.Refuse}} {
		switch f.given {
		case "":
		case noAddress:
			*f.have = ""
		default:
			*f.have = f.given
		}
	}
	return s
}

// openRegistry returns the registry that the settings ask for, and what closes it; nil
// without one.
func openRegistry(a cli.App, h *home.Home, s home.Settings, audit bool) (*registry.Server, func(), error) {
	if s.Registry == "" {
		return nil, func() {}, nil
	}
	cfg := registry.Config{Home: &h.Storage, Addr: s.Registry, Audit: audit, Log: logger(a), Refused: tellRefused(a, audit)}
	cfg.From, _ = osv.ParseSeverity(s.Refuse)
	done := func() {}
	if s.Upstream != "" {
		o := upstream.Options{Environ: os.Environ(), Getenv: a.Getenv, Agent: "es/" + cli.Version, Own: s.Registry}
		if s.Upstream != asNPM {
			o.Named = s.Upstream
		}
		from, err := upstream.Open(o)
		if errors.Is(err, upstream.ErrSelf) {
			return nil, nil, ui.Hinted(err, "name the one behind it: es node --registry --upstream=URL")
		}
		if err != nil {
			return nil, nil, err
		}
		if from.Insecure() {
			a.Warn("strict-ssl is false: the registry's certificate is not checked")
		}
		cfg.Registries, done = from, from.Close
	}
	server, err := registry.New(cfg)
	return server, done, err
}

// tellRefused tells of each release that is not let through.
func tellRefused(a cli.App, audit bool) func(*guard.Release, *guard.Refusal) {
	return func(r *guard.Release, why *guard.Refusal) {
		what := "refused"
		if audit {
			what = "would be refused"
		}
		a.Note("%s (%s): %s: %s", what, why.Kind, r, why.Why)
	}
}

// printRegistry says where npm's clients find the registry.
func printRegistry(a cli.App, s *registry.Server) {
	served := s.Served()
	if !served.Here {
		a.Note("another es of this home serves npm's clients at %s; this one goes on when that one ends", served.URL)
	}
	a.Printf("registry %s", served.URL)
}

// registryError leads on from an address that cannot be had.
func registryError(err error) error {
	var taken *registry.AddrError
	if !errors.As(err, &taken) {
		return err
	}
	return ui.Hinted(err, "stop what listens there, or choose another address: es node --registry=127.0.0.1:4874")
}
