package sign

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
)

// keptOptions are what es takes over from the user's gpg.conf: where keys, agents and
// passphrases are. All else would change what gpg signs, lists or prints: notations,
// policies, signers, digests, armor.
var keptOptions = []string{
	"agent-program", "batch", "keyring", "lock-multiple", "lock-never", "lock-once", "no-autostart",
	"no-default-keyring", "no-permission-warning", "no-tty", "passphrase-file", "pinentry-mode", "primary-keyring", "trustdb-name",
}

const maxGPGConf = 256 << 10

// options are the arguments that every run of gpg begins with: none of what gpg.conf
// says but keptOptions.
func (g GPG) options(ctx context.Context) ([]string, error) {
	all := []string{"--no-options", "--status-fd", "2"}
	if g.Home != "" {
		all = append(all, "--homedir", g.Home)
	}
	out, err := exec.CommandContext(ctx, g.program(), append(slices.Clone(all), "--version")...).Output()
	if err != nil {
		return nil, err
	}
	home, version := aboutGPG(out)
	if home == "" {
		return all, nil
	}
	// gpg reads the first of these that is there (gpg(1), Configuration files).
	for v := version; ; v = v[:max(0, strings.LastIndexAny(v, ".-"))] {
		name := "gpg.conf"
		if v != "" {
			name += "-" + v
		}
		b, err := regularfile.Read(filepath.Join(home, name), maxGPGConf)
		if err == nil {
			return append(all, keptLines(b)...), nil
		}
		if v == "" {
			return all, nil // none, or none that can be read: gpg goes on without, too
		}
	}
}

func (g GPG) program() string {
	if g.Program == "" {
		return "gpg"
	}
	return g.Program
}

// aboutGPG finds the home directory and the version in what gpg --version prints.
func aboutGPG(out []byte) (home, version string) {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if version == "" {
			version = line[strings.LastIndexByte(line, ' ')+1:]
		}
		if h, ok := strings.CutPrefix(line, "Home: "); ok {
			return h, version
		}
	}
	return "", version
}

// keptLines returns the options of a gpg.conf that es keeps, as arguments.
func keptLines(conf []byte) []string {
	var args []string
	lines := bufio.NewScanner(bytes.NewReader(conf))
	for lines.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "--")
		name, value := line, ""
		if i := strings.IndexAny(line, " \t=:"); i >= 0 {
			name, value = line[:i], strings.TrimSpace(strings.TrimLeft(line[i:], " \t=:"))
		}
		if !slices.Contains(keptOptions, name) {
			continue
		}
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		args = append(args, "--"+name)
		if value != "" {
			args = append(args, value)
		}
	}
	return args
}

// ErrNoPinentry says that gpg had nowhere to ask for a passphrase.
var ErrNoPinentry = errors.New("gpg has no terminal to ask for the passphrase")
