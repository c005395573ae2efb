package gossip

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// What pubsub warns of is for whoever asks for everything.
func TestLibraryLogIsDebug(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelError: 0, slog.LevelWarn: 0, slog.LevelInfo: 0, slog.LevelDebug: 2} {
		var out bytes.Buffer
		log := slog.New(asDebug{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})})
		log.Error("error in handling RPC", "from", "a peer")
		log.With("system", "pubsub").WithGroup("rpc").Warn("new stream for unknown peer")
		if got := strings.Count(out.String(), "level=DEBUG"); got != want || strings.Contains(out.String(), "level=WARN") {
			t.Errorf("at level %v: %q", level, out.String())
		}
	}
}
