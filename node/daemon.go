package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
)

// maxSocketPath is what every system takes, the end byte included (macOS: 104).
const maxSocketPath = 103

func (h *Home) lockPath() string { return filepath.Join(h.dir, "node.lock") }

// lockDaemon makes this process the daemon of the home. The lock ends with the
// process; the file stays, empty, since removing it would let two processes lock
// two files.
func (h *Home) lockDaemon() (unlock func(), err error) {
	f, err := filelock.Open(h.lockPath())
	if err != nil {
		return nil, fmt.Errorf("lock home: %w", err)
	}
	ok, err := filelock.Try(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	if !ok {
		f.Close()
		return nil, &LockedError{Home: h.dir, PID: h.daemonPID()}
	}
	unlock = func() {
		_ = f.Truncate(0)
		f.Close()
	}
	if err := f.Truncate(0); err != nil {
		unlock()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		unlock()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	return unlock, nil
}

// daemonPID returns the process id that the lock file holds, or 0.
func (h *Home) daemonPID() int {
	b, err := os.ReadFile(h.lockPath())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func (h *Home) socketPath() string { return filepath.Join(h.dir, "node.sock") }

// The file that says where the socket is when its path in the home would be too
// long for the system.
func (h *Home) elsewherePath() string { return filepath.Join(h.dir, "node.addr") }

// listenAPI makes the API's socket, which only this user can connect to. The
// caller holds the daemon's lock, so a socket that is there is a dead process's.
func (h *Home) listenAPI() (l net.Listener, remove func(), err error) {
	h.removeSocket()
	path, dir := h.socketPath(), ""
	if len(path) > maxSocketPath {
		if dir, err = os.MkdirTemp("", "es-"); err != nil { // mode 0700
			return nil, nil, fmt.Errorf("make API socket: %w", err)
		}
		path = filepath.Join(dir, "node.sock")
		if err := atomicfile.Replace(h.elsewherePath(), []byte(path+"\n")); err != nil {
			os.Remove(dir)
			return nil, nil, fmt.Errorf("make API socket: %w", err)
		}
	}
	l, err = net.Listen("unix", path)
	if err != nil {
		h.removeSocket()
		return nil, nil, fmt.Errorf("make API socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		h.removeSocket()
		return nil, nil, fmt.Errorf("make API socket: %w", err)
	}
	return l, h.removeSocket, nil
}

// removeSocket removes the socket, wherever it is.
func (h *Home) removeSocket() {
	os.Remove(h.socketPath())
	if path, err := h.elsewhere(); err == nil {
		os.Remove(path)
		os.Remove(filepath.Dir(path))
	}
	os.Remove(h.elsewherePath())
}

// elsewhere returns the socket's path outside of the home. Others can write to
// the directory above, so its own directory must be ours alone.
func (h *Home) elsewhere() (string, error) {
	b, err := regularfile.Read(h.elsewherePath(), maxSmall)
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(b))
	if !filepath.IsAbs(path) || filepath.Base(path) != "node.sock" {
		return "", fmt.Errorf("%s holds no path of a socket", h.elsewherePath())
	}
	info, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ownedByUser(info) {
		return "", fmt.Errorf("%s is not a directory of this user alone", filepath.Dir(path))
	}
	return path, nil
}

// dialAPI connects to the daemon's socket. The error is ErrNoDaemon when there is
// none.
func (h *Home) dialAPI(ctx context.Context) (net.Conn, error) {
	path := h.socketPath()
	if len(path) > maxSocketPath {
		var err error
		if path, err = h.elsewhere(); errors.Is(err, fs.ErrNotExist) {
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
