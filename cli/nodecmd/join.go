package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
)

// nodeConfig says in which network a node of the home is: flags, with which change changes
// the settings, come before the environment, and that before what the home remembers.
func nodeConfig(a cli.App, h *home.Home, change func(home.Settings) home.Settings) (node.Config, error) {
	s, err := h.Settings()
	if err != nil {
		return node.Config{}, err
	}
	if v := a.Getenv("ES_DHT"); v != "" {
		if s.DHT, err = api.ParseDHT(v); err != nil {
			return node.Config{}, fmt.Errorf("ES_DHT: %w", err)
		}
	}
	switch v := a.Getenv("ES_MDNS"); v {
	case "":
	case "on", "off":
		s.MDNS = v
	default:
		return node.Config{}, fmt.Errorf("ES_MDNS: mdns %q: it must be on or off", v)
	}
	s = change(s)
	if s.DHT == "" {
		if s.DHT, err = usualDHT(h, s); err != nil {
			return node.Config{}, err
		}
	}
	return node.Config{Bootstrap: s.Bootstrap, DHT: s.DHT, MDNS: s.MDNS != "off", Version: cli.Version, Log: logger(a)}, nil
}

// usualDHT is the DHT where nobody has chosen one.
func usualDHT(h *home.Home, s home.Settings) (api.DHT, error) {
	key, err := h.SwarmKey()
	switch {
	case err != nil:
		return "", err
	case key == nil:
		return api.DHTPublic, nil
	case len(s.Bootstrap) > 0:
		return api.DHTOwn, nil
	}
	return api.DHTOff, nil
}

// Join is a cli.Joiner.
func Join(ctx context.Context, a cli.App, h *home.Home) (api.Network, error) {
	cfg, err := nodeConfig(a, h, func(s home.Settings) home.Settings { return s })
	if err != nil {
		return nil, err
	}
	cfg.Log = passingLogger(a)
	if a.Offline || h.ReadOnly() && !h.Absent() { // what peers say would have to be written
		cfg.Alone, cfg.MDNS, cfg.DHT = true, false, api.DHTOff
	}
	if a.Stuck != nil {
		return node.JoinBeside(ctx, h, cfg)
	}
	n, err := node.Join(ctx, h, cfg)
	var stuck *localapi.StuckError
	if errors.As(err, &stuck) {
		a.Warn("%v; going on without it", stuck)
		a.Stuck = stuck
		return node.JoinBeside(ctx, h, cfg)
	}
	return n, err
}

// passingLogger is for a node of one command, which has nothing to say but with
// --verbose: what matters to the command is its error.
func passingLogger(a cli.App) *slog.Logger {
	if a.Verbose {
		return logger(a)
	}
	return slog.New(slog.DiscardHandler)
}

// logger writes what a node has to say: warnings, and with --verbose more.
func logger(a cli.App) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case a.Quiet:
		level = slog.LevelError
	case a.Verbose:
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level}))
}
