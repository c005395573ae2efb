package ui

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// output is standard output: it remembers that a write failed, so that a result
// which got lost on a full disk is never taken for one that was printed.
type output struct {
	to  io.Writer
	err error // of the first write that failed; nothing is written after it
}

func (o *output) Write(b []byte) (int, error) {
	if o.err != nil || len(b) == 0 {
		return 0, o.err
	}
	n, err := o.to.Write(b)
	if err != nil {
		var path *fs.PathError // says so once more
		if errors.As(err, &path) {
			err = path.Err
		}
		o.err = fmt.Errorf("write standard output: %w", err)
	}
	return n, o.err
}

// Printed returns the error of the first write to standard output that failed.
func (s *Streams) Printed() error {
	if o, ok := s.Out.(*output); ok {
		return o.err
	}
	return nil
}

// GuardOutput has Printed know of writes to Out from now on.
func (s *Streams) GuardOutput() { s.Out = &output{to: s.Out} }
