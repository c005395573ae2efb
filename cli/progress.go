package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
)

// progress is one line on the terminal that says how far an installation is. It
// appears when the work has taken a second, and never where it would be piped.
type progress struct {
	app   *app
	start time.Time

	mu     sync.Mutex
	off    bool
	drawn  int // characters on the line
	last   time.Time
	stage  string
	counts string
	fetch  map[records.Name]node.Progress
	begun  time.Time // when the first module was asked for
}

func (a *app) newProgress() *progress {
	return &progress{app: a, start: time.Now(), off: !a.tty || a.quiet || a.json, fetch: map[records.Name]node.Progress{}}
}

func (p *progress) event(e install.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Stage {
	case install.Waiting:
		p.stage, p.counts = "waiting for another es in this project", ""
	case install.Resolving:
		p.stage, p.counts = "resolving", fmt.Sprintf("%d", e.Done)
	case install.Fetching:
		p.stage, p.counts = "fetching", fmt.Sprintf("%d/%d", e.Done, e.Total)
	case install.Writing:
		p.stage, p.counts = "installing", fmt.Sprintf("%d/%d", e.Done, e.Total)
	}
	p.draw()
}

func (p *progress) fetched(name records.Name, f node.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	p.fetch[name] = f
	p.draw()
}

// draw is called with p.mu held.
func (p *progress) draw() {
	now := time.Now()
	if p.off || now.Sub(p.start) < time.Second || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	line := "es: " + p.stage + " " + p.counts
	if p.stage == "fetching" {
		line += "  " + p.rate(now)
	}
	pad := max(p.drawn-len(line), 0)
	fmt.Fprintf(p.app.err, "\r%s%s", line, strings.Repeat(" ", pad))
	p.drawn = len(line)
}

// rate says how much is here, how fast it comes, and from how many peers.
func (p *progress) rate(now time.Time) string {
	var here, received int64
	var from, connected int
	for _, f := range p.fetch {
		here += f.Bytes
		received += f.Received
		from, connected = max(from, f.From), max(connected, f.Peers)
	}
	peers := "from " + plural(int64(from), "peer")
	if from == 0 { // bitswap does not say who sent what
		peers = "with " + plural(int64(connected), "peer")
	}
	perSecond := float64(received) / max(now.Sub(p.begun).Seconds(), 0.1)
	return fmt.Sprintf("%s  %s/s  %s", bytesText(here), bytesText(int64(perSecond)), peers)
}

// end clears the line and draws no other.
func (p *progress) end() {
	p.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
}

// clear makes room for something else until the next event.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn > 0 {
		fmt.Fprintf(p.app.err, "\r%s\r", strings.Repeat(" ", p.drawn))
	}
	p.drawn = 0
}
