package home

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
)

// Settings say how the nodes of a home, those for one command too, find others, and
// where its daemon is found.
// They are the home's file "network" (docs/program.md [N9]).
type Settings struct {
	DHT       api.DHT  // "" when nothing is said
	MDNS      string   // "on", "off", or "" when nothing is said
	Bootstrap []string // multiaddrs ending in /p2p/PEER

	// Of the daemon alone.
	Listen   []string // multiaddrs; none for the default
	Announce []string // multiaddrs told to others beside those that the node knows of
	Seed     api.Seed // "" when nothing is said

	// Of the registry for npm's clients.
	Registry string // the address of loopback where the daemon serves it; "" for nowhere
	Upstream string // "npm" or the URL of a registry that is asked; "" for none
	Refuse   string // the severity from which on advisories refuse; "" for malware alone
}

const maxSettings = 64 << 10

func (st *Storage) settingsPath() string { return filepath.Join(st.dir, "network") }

// Settings reads the home's settings; there need not be any.
func (st *Storage) Settings() (Settings, error) {
	b, err := regularfile.Read(st.settingsPath(), maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("read network settings: %w", err)
	}
	s, err := parseSettings(b)
	if err != nil {
		return Settings{}, fmt.Errorf("read network settings %s: %w", st.settingsPath(), err)
	}
	return s, nil
}

func parseSettings(b []byte) (Settings, error) {
	if len(b) > maxSettings {
		return Settings{}, fmt.Errorf("longer than %d bytes", maxSettings)
	}
	var s Settings
	_, b = regularfile.CutBOM(b)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, value, _ := strings.Cut(line, " ")
		if err := s.set(word, strings.TrimSpace(value)); err != nil {
			return Settings{}, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s, lines.Err()
}

func (s *Settings) set(word, value string) (err error) {
	switch word {
	case "dht":
		s.DHT, err = api.ParseDHT(value)
	case "mdns":
		if value != "on" && value != "off" {
			return fmt.Errorf("mdns %q: it must be on or off", value)
		}
		s.MDNS = value
	case "bootstrap":
		if _, err := address.Parse(value); err != nil {
			return err
		}
		s.Bootstrap = append(s.Bootstrap, value)
	case "listen":
		if _, err := address.ParseListen(value); err != nil {
			return err
		}
		s.Listen = append(s.Listen, value)
	case "announce":
		if _, err := address.ParseAnnounce(value); err != nil {
			return err
		}
		s.Announce = append(s.Announce, value)
	case "seed":
		s.Seed, err = api.ParseSeed(value)
	case "registry":
		s.Registry = value
	case "upstream":
		s.Upstream = value
	case "refuse":
		s.Refuse = value
	default:
		return fmt.Errorf("%q is none of dht, mdns, bootstrap, listen, announce, seed, registry, upstream and refuse", word)
	}
	return err
}

// SaveSettings replaces the home's settings.
func (st *Storage) SaveSettings(s Settings) error {
	var b bytes.Buffer
	b.WriteString("# How the nodes of this home find others, and are found. es node writes it when it is told otherwise.\n")
	if s.DHT != "" {
		fmt.Fprintf(&b, "dht %s\n", s.DHT)
	}
	if s.MDNS != "" {
		fmt.Fprintf(&b, "mdns %s\n", s.MDNS)
	}
	for _, a := range s.Bootstrap {
		fmt.Fprintf(&b, "bootstrap %s\n", a)
	}
	for _, a := range s.Listen {
		fmt.Fprintf(&b, "listen %s\n", a)
	}
	for _, a := range s.Announce {
		fmt.Fprintf(&b, "announce %s\n", a)
	}
	if s.Seed != "" {
		fmt.Fprintf(&b, "seed %s\n", s.Seed)
	}
	for _, said := range []struct{ word, value string }{{"registry", s.Registry}, {"upstream", s.Upstream}, {"refuse", s.Refuse}} {
		if said.value != "" {
			fmt.Fprintf(&b, "%s %s\n", said.word, said.value)
		}
	}
	if _, err := parseSettings(b.Bytes()); err != nil {
		return fmt.Errorf("save network settings: %w", err)
	}
	if err := atomicfile.Replace(st.settingsPath(), b.Bytes()); err != nil {
		return fmt.Errorf("save network settings: %w", err)
	}
	return nil
}
