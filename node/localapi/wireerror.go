package localapi

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
)

// wireError is an error as it travels over the local API: its text, and what
// callers branch on.
type wireError struct {
	Kind string `json:"kind,omitempty"`
	Text string `json:"error"`

	Root    string `json:"root,omitempty"`
	Missing string `json:"missing,omitempty"`
	Peers   int    `json:"peers,omitempty"`
	Tried   int    `json:"tried,omitempty"`

	Rule   string `json:"rule,omitempty"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason,omitempty"`

	Record string `json:"record,omitempty"`

	At string `json:"at,omitempty"`
}

const (
	kindVersion     = "version"
	kindUnreachable = "unreachable"
	kindRule        = "rule"
	kindNotFound    = "not found"
	kindClosed      = "closed"
	kindWrongAddr   = "wrong address"
	kindFull        = "full"
)

func newWireError(err error) *wireError {
	e := &wireError{Text: err.Error()}
	var away *api.UnreachableError
	var rule *unixfs.RuleError
	var missing *index.NotFoundError
	var wrong *api.WrongAddrError
	switch {
	case errors.As(err, &away):
		e.Kind, e.Root, e.Missing, e.Peers, e.Tried = kindUnreachable, text(away.Root), text(away.Missing), away.Peers, away.Tried
	case errors.As(err, &rule):
		e.Kind, e.Rule, e.Path, e.Reason = kindRule, rule.Rule, rule.Path, rule.Reason
	case errors.As(err, &missing):
		e.Kind, e.Record = kindNotFound, text(missing.Record)
	case errors.As(err, &wrong):
		e.Kind, e.At = kindWrongAddr, wrong.At
	case errors.Is(err, api.ErrDiskFull):
		e.Kind = kindFull
	case errors.Is(err, api.ErrClosed), errors.Is(err, context.Canceled):
		e.Kind = kindClosed
	}
	return e
}

// remoteError is an error of the daemon, with its text and the typed error that
// callers look for.
type remoteError struct {
	text  string
	cause error // may be nil
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.cause }

func (e *wireError) err() error {
	switch e.Kind {
	case kindUnreachable:
		return &api.UnreachableError{Root: parsed(e.Root), Missing: parsed(e.Missing), Peers: e.Peers, Tried: e.Tried}
	case kindRule:
		return &remoteError{e.Text, &unixfs.RuleError{Rule: e.Rule, Path: e.Path, Reason: e.Reason}}
	case kindNotFound:
		return &remoteError{e.Text, &index.NotFoundError{Record: parsed(e.Record)}}
	case kindWrongAddr:
		return &api.WrongAddrError{At: e.At, Err: errors.New(e.Text)}
	case kindFull:
		return &remoteError{e.Text, api.ErrDiskFull}
	case kindClosed:
		return &remoteError{e.Text, api.ErrClosed}
	}
	return &remoteError{e.Text, nil}
}

// text and parsed write and read a CID that may be undefined.
func text(c cid.Cid) string {
	if !c.Defined() {
		return ""
	}
	return c.String()
}

func parsed(s string) cid.Cid {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef
	}
	return c
}
