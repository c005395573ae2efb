package localapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/owner"
	"github.com/everythingstays/es/internal/regularfile"
)

// ErrNoDaemon is returned by Dial when no daemon answers for the home.
var ErrNoDaemon = errors.New("no es node is running for this home")

// maxSocketPath is what every system takes, the end byte included (macOS: 104).
const maxSocketPath = 103

const maxAddrFile = 4 << 10 // bytes of node.addr

func socketPath(dir string) string { return filepath.Join(dir, "node.sock") }

// The file that says where the socket is when its path in the home would be too
// long for the system.
func elsewherePath(dir string) string { return filepath.Join(dir, "node.addr") }

// listenAPI makes the API's socket, which only this user can connect to. The
// caller holds the daemon's lock, so a socket that is there is a dead process's.
func listenAPI(dir string) (l net.Listener, remove func(), err error) {
	removeSocket(dir)
	path := socketPath(dir)
	if len(path) > maxSocketPath {
		temp, err := os.MkdirTemp("", "es-") // mode 0700
		if err != nil {
			return nil, nil, fmt.Errorf("make API socket: %w", err)
		}
		path = filepath.Join(temp, "node.sock")
		if err := atomicfile.Replace(elsewherePath(dir), []byte(path+"\n")); err != nil {
			os.Remove(temp)
			return nil, nil, fmt.Errorf("make API socket: %w", err)
		}
	}
	l, err = net.Listen("unix", path)
	if err != nil {
		removeSocket(dir)
		return nil, nil, fmt.Errorf("make API socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		removeSocket(dir)
		return nil, nil, fmt.Errorf("make API socket: %w", err)
	}
	return l, func() { removeSocket(dir) }, nil
}

// removeSocket removes the socket, wherever it is.
func removeSocket(dir string) {
	os.Remove(socketPath(dir))
	if path, err := elsewhere(dir); err == nil {
		os.Remove(path)
		os.Remove(filepath.Dir(path))
	}
	os.Remove(elsewherePath(dir))
}

// elsewhere returns the socket's path outside of the home. Others can write to
// the directory above, so its own directory must be ours alone.
func elsewhere(dir string) (string, error) {
	b, err := regularfile.Read(elsewherePath(dir), maxAddrFile)
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(b))
	if !filepath.IsAbs(path) || filepath.Base(path) != "node.sock" {
		return "", fmt.Errorf("%s holds no path of a socket", elsewherePath(dir))
	}
	info, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !owner.IsUser(info) {
		return "", fmt.Errorf("%s is not a directory of this user alone", filepath.Dir(path))
	}
	return path, nil
}

// dialAPI connects to the daemon's socket. The error is ErrNoDaemon when there is
// none.
func dialAPI(ctx context.Context, dir string) (net.Conn, error) {
	path := socketPath(dir)
	if len(path) > maxSocketPath {
		var err error
		if path, err = elsewhere(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoDaemon
		} else if err != nil {
			return nil, fmt.Errorf("find the running es node: %w", err)
		}
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("find the running es node: %w", err)
	}
	return nil, ErrNoDaemon // no file, or a dead process's
}

// A StuckError says that a daemon runs and does not answer: it is stopped, or stuck.
type StuckError struct {
	PID  int // 0 when unknown
	Wait time.Duration
}

func (e *StuckError) Error() string {
	who := "the running es node"
	if e.PID != 0 {
		who = fmt.Sprintf("the running es node (process %d)", e.PID)
	}
	return fmt.Sprintf("%s has not answered for %v: it is stopped or stuck", who, e.Wait)
}

// A VersionError says that the running daemon is of another version of es, which
// this one cannot talk to.
type VersionError struct {
	Daemon, Client string // versions of the local API
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("it is of another version of es (local API %.20q, and %q here); stop it and start it again", e.Daemon, e.Client)
}
