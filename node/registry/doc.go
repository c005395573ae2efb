// Package registry serves what a home has of npm's registries to npm's clients, on
// loopback (docs/program.md section 15): its address, which of a home's processes serves
// it, how another makes sure of that, and the token for what is not for everybody.
package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/mirror"
	"github.com/everythingstays/es/npm/osv"
)

// DefaultAddr is where clients expect it: some write it into their lockfiles.
const DefaultAddr = "127.0.0.1:4873"

// Config says what is served, and where.
type Config struct {
	Home *home.Storage
	Addr string // "" for DefaultAddr; on loopback
	// Registries are asked for what is not here; nil for nothing but what is.
	Registries mirror.Registries
	From       osv.Severity // from which on advisories refuse; Unknown for malware alone
	Audit      bool         // what would be refused is told, and let through
	// Refused is told of each release that is not let through; it may be nil.
	Refused func(*guard.Release, *guard.Refusal)
	Log     *slog.Logger
}

// CheckAddr refuses an address that others than this machine could reach.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("%q is not an address like %s", addr, DefaultAddr)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not an address of loopback: clients on this machine alone are served, without a password", addr)
	}
	return nil
}

// An AddrError says that the registry cannot listen where it should.
type AddrError struct {
	Addr string
	Err  error
}

func (e *AddrError) Error() string {
	return fmt.Sprintf("serve npm's clients at %s: %v", e.Addr, e.Err)
}
func (e *AddrError) Unwrap() error { return e.Err }

// ErrImpostor is that of another program that answers in place of this home's process.
var ErrImpostor = errors.New("another program listens there, which is not of this home")

// Advisories are those that the user of a home gave.
func Advisories(h *home.Storage) osv.Dir { return osv.OpenDir(filepath.Join(h.Dir(), "advisories")) }

func (c *Config) mirror(token string) *mirror.Mirror {
	advisories := Advisories(c.Home)
	return mirror.New(mirror.Config{
		Dir: filepath.Join(c.Home.Dir(), "packuments"), Trees: c.Home.Trees(), Blocks: c.Home.Blocks(), Batch: c.Home.Blocks().FileBatch(),
		Registries: c.Registries,
		Guard:      guard.New(guard.Config{Trust: c.Home.Trust, Advisories: advisories, From: c.From, Now: time.Now}),
		Advisories: advisories, Audit: c.Audit, Token: token, Refused: c.Refused, Now: time.Now, Log: c.Log,
	})
}
