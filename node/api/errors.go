package api

import "errors"

// ErrClosed is returned by calls of a node or client that is closed.
var ErrClosed = errors.New("the node is closed")

// A WrongAddrError says that a peer does not answer at the address that the user
// gave. Where it is remembered at another one, that stays.
type WrongAddrError struct {
	At  string // ending in /p2p/PEER; "" where it is not remembered
	Err error
}

func (e *WrongAddrError) Error() string { return e.Err.Error() }

func (e *WrongAddrError) Unwrap() error { return e.Err }

// ErrDiskFull is what errors wrap that come from a full disk of this machine.
var ErrDiskFull = errors.New("the disk is full")
