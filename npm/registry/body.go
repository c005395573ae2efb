package registry

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// ErrStalled is in the error of a body that brought too little for too long.
var ErrStalled = errors.New("the registry stopped sending")

// A stallReader ends a body that brings less than minProgress bytes in a period, by
// ending the request's context.
type stallReader struct {
	body    io.ReadCloser
	timer   *time.Timer
	period  time.Duration
	read    atomic.Int64
	stalled atomic.Bool
	cancel  context.CancelCauseFunc
}

func newStallReader(body io.ReadCloser, period time.Duration, cancel context.CancelCauseFunc) *stallReader {
	s := &stallReader{body: body, period: period, cancel: cancel}
	s.timer = time.AfterFunc(period, s.check)
	return s
}

func (s *stallReader) check() {
	if s.read.Swap(0) < minProgress {
		s.stalled.Store(true)
		s.cancel(ErrStalled)
		return
	}
	s.timer.Reset(s.period)
}

func (s *stallReader) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	s.read.Add(int64(n))
	if err != nil && err != io.EOF && s.stalled.Load() {
		err = ErrStalled
	}
	return n, err
}

func (s *stallReader) Close() error {
	s.timer.Stop()
	err := s.body.Close()
	s.cancel(nil)
	return err
}

// A SizeError says that an answer has more bytes than the limit.
type SizeError struct {
	What  string
	Limit int64 // bytes
}

func (e *SizeError) Error() string { return fmt.Sprintf("%s has more than %d bytes", e.What, e.Limit) }

// readAll reads a body, unpacked, up to limit bytes.
func readAll(resp *http.Response, what string, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return nil, &SizeError{what, limit}
	}
	var r io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		r = unzipped
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if int64(len(b)) > limit {
		return nil, &SizeError{what, limit}
	}
	return b, nil
}
