package ui

import (
	"os"

	"golang.org/x/term"
)

// readHidden reads a line from a console without its being seen.
func readHidden(in *os.File) ([]byte, error) { return term.ReadPassword(int(in.Fd())) }
