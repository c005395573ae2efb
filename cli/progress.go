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
	bytes  map[records.Name]int64
	peers  int
}

func (a *app) newProgress() *progress {
	return &progress{app: a, start: time.Now(), off: !a.tty || a.quiet || a.json, bytes: map[records.Name]int64{}}
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
	p.bytes[name], p.peers = f.Bytes, f.Peers
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
		var total int64
		for _, n := range p.bytes {
			total += n
		}
		rate := float64(total) / now.Sub(p.start).Seconds()
		line += fmt.Sprintf("  %s  %s/s  from %s", bytesText(total), bytesText(int64(rate)), plural(int64(p.peers), "peer"))
	}
	pad := max(p.drawn-len(line), 0)
	fmt.Fprintf(p.app.err, "\r%s%s", line, strings.Repeat(" ", pad))
	p.drawn = len(line)
}

// end clears the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
	if p.drawn > 0 {
		fmt.Fprintf(p.app.err, "\r%s\r", strings.Repeat(" ", p.drawn))
	}
}
