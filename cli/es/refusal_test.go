package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/sign"
)

// believedAs makes a key that is believed about lib, since 2026 began.
func (d *desk) believedAs(label string) *sign.SecretKey {
	d.Helper()
	k, err := sign.NewSecretKey("Ada", "", day("2026-01-01"))
	if err != nil {
		d.Fatal(err)
	}
	if _, stderr, code := d.es("trust", "add", k.Key().Fingerprint().String(), "lib", "--label", label, "--yes"); code != ui.ExitDone {
		d.Fatal(stderr)
	}
	return k
}

// refuses runs a command that must end with this exit code and this on standard
// error, with $ADA for the key.
func (d *desk) refuses(ada *sign.SecretKey, code int, want string, args ...string) {
	d.Helper()
	_, stderr, got := d.es(append([]string{"--offline"}, args...)...)
	stderr = strings.ReplaceAll(stderr, ada.Key().Fingerprint().String(), "$ADA")
	if got != code || stderr != want {
		d.Errorf("es %s: exit code %d, want %d; it says\n%s\nwant\n%s", strings.Join(args, " "), got, code, stderr, want)
	}
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestRefusedAsDatedBack(t *testing.T) {
	d := newDesk(t)
	ada := d.believedAs("ada")
	release := d.packs(`{"name": "lib", "version": "1.0.0"}`)
	d.hears(ada, day("2026-02-01"), day("2026-05-01"), release)
	d.in(func(ctx context.Context, h *home.Home) error {
		retired, err := ada.Revoke(sign.Retired, "", day("2026-03-01"))
		if err == nil {
			_, _, err = h.Index().AddKey(ctx, retired)
		}
		return err
	})
	d.refuses(ada, ui.ExitTrust, `es: BACKDATED: lib@1.0.0
    module     bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq
    dated      2026-02-01 00:00:00, by $ADA (ada, says Ada, revoked on 2026-03-01)
    key ended  2026-03-01 00:00:00
    came here  2026-05-01 00:00:00
    decides    $ADA (ada, says Ada, revoked on 2026-03-01): line 1 of the trust file for lib

    The record is dated before the key ended, and came here more than a week
    after that. It may have been on its way for so long; or somebody who has the
    old key signs with a date of the past.
    Nothing was installed.

es: hint: es info lib shows when it came and when its key ended
es: hint: es trust pin lib@1.0.0 bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq   (if you are sure that it is not dated back)
`, "add", "lib", "--yes")
}

func TestRefusedForWrongBytes(t *testing.T) {
	d := newDesk(t)
	ada := d.believedAs("ada")
	release := d.packs(`{"name": "lib", "version": "1.0.0"}`)
	release.Manifest.Description = "not what package.json says"
	d.says(ada, 24*time.Hour, release)
	d.refuses(ada, ui.ExitIntegrity, `es: INTEGRITY: lib
    because  check module bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq: its manifest's Description is "", the release says "not what package.json says"
    module   bafybeidp7mgqbqvpgvzqnlmzvlyo3rkosmjyo3l4l4owvxzrv3t3dn5pvq
    place    node_modules/lib

    The module is not what its signed record says, or not what es-lock.json
    says. Whoever signed the record made it so, or the file was changed since.
    Nothing was installed.

es: hint: es info lib shows who signed what
es: hint: es verify checks what is stored here
`, "add", "lib", "--yes")
}

// TestRefusalsAreListed is that docs/refusals.md has a row for each kind of refusal, and no
// others.
func TestRefusalsAreListed(t *testing.T) {
	page, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| refused | exit | what happened |")
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for line := range strings.Lines(table) {
		if kind, ok := strings.CutPrefix(line, "| `"); ok {
			kind, _, _ = strings.Cut(kind, "`")
			listed = append(listed, kind)
		}
	}
	slices.Sort(listed)
	if kinds := slices.Sorted(maps.Keys(cli.Meanings)); !slices.Equal(listed, kinds) {
		t.Errorf("docs/refusals.md lists %q, es knows %q", listed, kinds)
	}
}
