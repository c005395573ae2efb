package layout

import (
	"fmt"
)

// An ExistsError says that something es did not install stands where a
// package must go.
type ExistsError struct {
	Path   string
	Reason string
	By     string // the file or field that has another package manager install it, or ""
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("install into %s: %s", e.Path, e.Reason)
}

// A Warning is about something that did not stop the installation.
type Warning struct {
	Path string // of the package it is about, "" for the project
	Text string // untrusted: it may quote what a package says
}
