package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

// networkOptions are flags that the home remembers; "" and none leave what it has.
type networkOptions struct {
	dht       string
	mdns      string
	bootstrap []string

	// Of es node alone.
	listen, announce []string
	seed             string
}

// Words in place of an address that make a home forget those that it remembers.
const (
	listenDefault = "default"
	noAddress     = "none"
)

func (o networkOptions) check(cmd *cobra.Command) error {
	if _, err := api.ParseDHT(o.dht); o.dht != "" && err != nil {
		return cli.Usagef(cmd, "--%v", err)
	}
	if o.mdns != "" && o.mdns != "on" && o.mdns != "off" {
		return cli.Usagef(cmd, "--mdns %q is not on or off", o.mdns)
	}
	if _, err := api.ParseSeed(o.seed); o.seed != "" && err != nil {
		return cli.Usagef(cmd, "--seed %q is not used, trusted or all", o.seed)
	}
	return nil
}

// remember writes what the flags say into the home.
func remember(h *home.Home, over ...func(home.Settings) home.Settings) error {
	s, err := h.Settings()
	if err != nil {
		return err
	}
	said := s
	for _, f := range over {
		said = f(said)
	}
	if !reflect.DeepEqual(s, said) {
		return h.SaveSettings(said)
	}
	return nil
}

// over returns the settings with what the flags say in place of what they said.
func (o networkOptions) over(s home.Settings) home.Settings {
	if o.dht != "" {
		s.DHT = api.DHT(o.dht)
	}
	if o.mdns != "" {
		s.MDNS = o.mdns
	}
	if o.seed != "" {
		s.Seed = api.Seed(o.seed)
	}
	s.Bootstrap = addresses(s.Bootstrap, o.bootstrap, noAddress)
	s.Listen = addresses(s.Listen, o.listen, listenDefault)
	s.Announce = addresses(s.Announce, o.announce, noAddress)
	return s
}

// addresses are those of a flag if it was given, and none when it says forget.
func addresses(remembered, given []string, forget string) []string {
	switch {
	case len(given) == 0:
		return remembered
	case slices.Equal(given, []string{forget}):
		return nil
	}
	return given
}

// goPrivate makes the home part of the private network whose key is in the file.
func goPrivate(ctx context.Context, a cli.App, h *home.Home, file string) error {
	const makeOne = "es node --private new makes a key, in swarm.key of the home; give the others a copy"
	if file == "" {
		return nil
	}
	have, err := h.SwarmKey()
	if err != nil {
		return err
	}
	path := filepath.Join(h.Dir(), "swarm.key")
	var key home.SwarmKey
	if file == "new" {
		if have != nil {
			return ui.Hinted(errors.New("the home belongs to a private network already"), "its key is %s; for a new network use another --home", path)
		}
		key = home.NewSwarmKey()
	} else {
		b, err := a.ReadFile(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return ui.Hinted(fmt.Errorf("read the key of the private network: %w", err), makeOne)
		}
		if err != nil {
			return fmt.Errorf("read the key of the private network: %w", err)
		}
		if key, err = home.ParseSwarmKey(b); err != nil {
			return ui.Hinted(fmt.Errorf("read %s: %w", file, err), makeOne)
		}
	}
	err = h.SetSwarmKey(key)
	if errors.Is(err, home.ErrSwarmKey) {
		return ui.Hinted(err, "its key is %s; for this one use another --home", path)
	}
	if err == nil && file == "new" {
		a.Note("the key of the new private network is %s; whoever has a copy takes part, by es node --private FILE", path)
	}
	return err
}
