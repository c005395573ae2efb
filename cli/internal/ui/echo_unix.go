//go:build unix

package ui

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readHidden reads a line from a terminal without its being seen. Package term takes
// the end of the input, ctrl-D, for nothing and reads on. Whoever calls it puts the
// terminal back.
func readHidden(in *os.File) ([]byte, error) {
	fd := int(in.Fd())
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	state.Lflag = state.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, state); err != nil {
		return nil, err
	}
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0 && len(line) == 0:
			return nil, io.EOF
		case n == 0 || b[0] == '\n':
			return line, nil
		default:
			line = append(line, b[0])
		}
	}
}
