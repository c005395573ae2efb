package api

import (
	"errors"
	"syscall"
)

// A fullError says that this machine's disk has no room. No peer is to blame.
type fullError struct{ err error }

func (e *fullError) Error() string { return "the disk is full: " + e.err.Error() }

func (e *fullError) Unwrap() error { return e.err }

// Is makes a fullError an ErrDiskFull.
func (e *fullError) Is(target error) bool { return target == ErrDiskFull }

// DiskFull has the error say so when a full disk is its cause.
func DiskFull(err error) error {
	if err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return &fullError{err}
	}
	return err
}
