package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// SignerText names a signer by the user's label, or else by what its key says.
func SignerText(label, uid string, authors int) string {
	who := ui.Safe(label)
	if label == "" {
		who = ui.UIDText(uid)
	}
	if authors > 1 {
		who += fmt.Sprintf(" and %d more", authors-1)
	}
	return who
}

// UserID returns what the key says of its owner; "" for an unknown key.
func UserID(ctx context.Context, h *home.Home, f records.Fingerprint) (string, error) {
	key, err := h.Index().Key(ctx, f)
	if err != nil || key == nil {
		return "", err
	}
	return key.UserID(), nil
}

// Grouped writes a fingerprint in groups of four digits, for comparing by eye.
func Grouped(f records.Fingerprint) string {
	s := f.String()
	var groups []string
	for ; len(s) > 4; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(append(groups, s), " ")
}
