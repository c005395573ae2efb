package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
)

func (h *Home) syncedPath() string { return filepath.Join(h.dir, "synced") }

// Synced returns when some peer was last asked for all that this home lacks, and
// the zero time when that never happened.
func (h *Home) Synced() (time.Time, error) {
	b, err := regularfile.Read(h.syncedPath(), maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read when records were last asked for: %w", err)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return time.Time{}, nil // written again after the next pull
	}
	return time.Unix(seconds, 0), nil
}

func (h *Home) SetSynced(at time.Time) error {
	if h.readOnly {
		return nil
	}
	if err := atomicfile.Replace(h.syncedPath(), fmt.Appendf(nil, "%d\n", at.Unix())); err != nil {
		return fmt.Errorf("note when records were asked for: %w", err)
	}
	return nil
}
