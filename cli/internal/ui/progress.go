package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Progress is one line on the terminal that says how far a command is. It
// appears when that has taken a second, and never where it would be piped.
type Progress struct {
	streams *Streams
	start   time.Time

	mu     sync.Mutex
	off    bool
	drawn  int // characters on the line
	last   time.Time
	stage  string
	counts string
	fetch  map[string]Transfer
	begun  time.Time // when the first of them began
}

// A Transfer is how far the fetching of one thing is.
type Transfer struct {
	Bytes    int64 // that are here
	Received int64 // bytes of them that came now
	From     int   // peers that sent some, 0 where that is not known
	Peers    int   // that are connected
}

// NewProgress returns a line that is not drawn yet.
func (s *Streams) NewProgress() *Progress {
	return &Progress{streams: s, start: time.Now(), off: !s.TTY || s.Quiet || s.JSON, fetch: map[string]Transfer{}}
}

// Fetching is the stage whose line shows what Fetched was told.
const Fetching = "fetching"

// Stage says what is done now and how far that is.
func (p *Progress) Stage(stage, counts string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage, p.counts = stage, counts
	p.draw()
}

// Fetched says how far the fetching of a name is.
func (p *Progress) Fetched(name string, t Transfer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	p.fetch[name] = t
	p.draw()
}

// draw is called with p.mu held.
func (p *Progress) draw() {
	now := time.Now()
	if p.off || now.Sub(p.start) < time.Second || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	line := "es: " + p.stage + " " + p.counts
	if p.stage == Fetching {
		line += "  " + p.rate(now)
	}
	pad := max(p.drawn-len(line), 0)
	fmt.Fprintf(p.streams.Err, "\r%s%s", line, strings.Repeat(" ", pad))
	p.drawn = len(line)
}

// rate says how much is here, how fast it comes, and from how many peers.
func (p *Progress) rate(now time.Time) string {
	var here, received int64
	var from, connected int
	for _, f := range p.fetch {
		here += f.Bytes
		received += f.Received
		from, connected = max(from, f.From), max(connected, f.Peers)
	}
	peers := "from " + Plural(int64(from), "peer")
	if from == 0 { // bitswap does not say who sent what
		peers = "with " + Plural(int64(connected), "peer")
	}
	perSecond := float64(received) / max(now.Sub(p.begun).Seconds(), 0.1)
	return fmt.Sprintf("%s  %s/s  %s", BytesText(here), BytesText(int64(perSecond)), peers)
}

// End clears the line and draws no other.
func (p *Progress) End() {
	p.Clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
}

// Clear makes room for something else until the next event.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn > 0 {
		fmt.Fprintf(p.streams.Err, "\r%s\r", strings.Repeat(" ", p.drawn))
	}
	p.drawn = 0
}
