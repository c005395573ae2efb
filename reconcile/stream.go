package reconcile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// errBudget says that a frame would take a session over its bytes.
var errBudget = errors.New("session has used up its bytes")

// chunk is how much is written under one deadline.
const chunk = 16 << 10

// A stream carries the frames of one session. Both sides count the same bytes.
type stream struct {
	network.Stream
	in             *bufio.Reader
	end            time.Time // of the session
	idle           time.Duration
	first          time.Duration // for the first byte, in place of idle; 0 for none
	left           int           // of the bytes of the session
	sent, received int64
}

func newStream(s network.Stream, l Limits, now time.Time) *stream {
	st := &stream{Stream: s, end: now.Add(l.Session), idle: l.Idle, left: l.Bytes}
	st.in = bufio.NewReaderSize(readerFunc(st.read), chunk)
	return st
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func (s *stream) deadline() time.Time {
	idle := s.idle
	if s.first > 0 && s.received == 0 {
		idle = min(idle, s.first)
	}
	if d := time.Now().Add(idle); d.Before(s.end) {
		return d
	}
	return s.end
}

func (s *stream) read(b []byte) (int, error) {
	if err := s.SetReadDeadline(s.deadline()); err != nil {
		return 0, err
	}
	return s.Stream.Read(b)
}

// over reports whether the session's time has passed.
func (s *stream) over() bool { return !time.Now().Before(s.end) }

// frameSize is what a frame costs a session.
func frameSize(body int) int {
	return len(binary.AppendUvarint(nil, uint64(body))) + body
}

// writeFrame sends a message, unless the session has not so many bytes left.
func (s *stream) writeFrame(body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("message has %d bytes, the limit is %d", len(body), maxFrame)
	}
	b := append(binary.AppendUvarint(make([]byte, 0, len(body)+3), uint64(len(body))), body...)
	if len(b) > s.left {
		return errBudget
	}
	s.left -= len(b)
	s.sent += int64(len(b))
	for len(b) > 0 {
		if err := s.SetWriteDeadline(s.deadline()); err != nil {
			return err
		}
		n, err := s.Write(b[:min(chunk, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// An offence says that a peer sent what no honest one sends.
type offence string

func (e offence) Error() string { return string(e) }

// readFrame returns the next message. The error is io.EOF when the peer has
// ended its side between two messages, and an offence when it is to blame.
func (s *stream) readFrame() ([]byte, error) {
	if _, err := s.in.Peek(1); err != nil {
		return nil, err
	}
	size, err := s.readLength()
	if err != nil {
		return nil, err
	}
	cost := frameSize(size)
	if cost > s.left {
		return nil, errBudget
	}
	s.left -= cost
	s.received += int64(cost)
	body := make([]byte, size)
	if _, err := io.ReadFull(s.in, body); err != nil {
		return nil, cut(err)
	}
	return body, nil
}

func (s *stream) readLength() (int, error) {
	size := 0
	for shift := 0; shift < 21; shift += 7 {
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, cut(err)
		}
		size |= int(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if size == 0 || size > maxFrame || b == 0 {
			break
		}
		return size, nil
	}
	return 0, offence("the length of a message is 0, too large, or not in its shortest form")
}

// cut tells a stream that ends within a message from one that ends after it.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
