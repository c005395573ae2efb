package main

import (
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/records"
)

// TestAddWarnsOfWithheldNews is that es add and es update say so when the author of
// what they resolve has promised news that are not here.
func TestAddWarnsOfWithheldNews(t *testing.T) {
	const day = 24 * time.Hour
	d := newDesk(t)
	ada := d.key("Ada")
	fpr := ada.Key().Fingerprint().String()
	d.says(ada, 60*day, d.packs(`{"name": "lib", "version": "1.0.0"}`))
	d.es("trust", "add", fpr, "lib", "--label", "ada", "--yes")
	add := func(what string, want string) {
		t.Helper()
		for _, args := range [][]string{{"add", "lib", "--accept-key", fpr}, {"update"}} {
			_, stderr, code := d.es(append([]string{"--offline"}, args...)...)
			if code != ui.ExitDone || (want == "") == strings.Contains(stderr, "head expired") || !strings.Contains(stderr, want) {
				t.Errorf("%s: es %s: exit code %d, want %q in\n%s", what, args[0], code, want, stderr)
			}
		}
	}
	add("no promise", "")
	d.says(ada, 50*day, &records.Heartbeat{Next: time.Now().Add(-21*day - time.Hour).Unix()})
	add("a promise that is past", "es: warning: "+fpr+" (ada): head expired 21 days ago: promised news by "+
		time.Now().Add(-21*day-time.Hour).UTC().Format(time.DateOnly)+", and none is here; nobody was asked yet\n")
	_, stderr, code := d.es("doctor", "--offline")
	if stdout, _, _ := d.es("doctor", "--offline"); !strings.Contains(stdout, "head expired 21 days ago") {
		t.Errorf("doctor: exit code %d\n%s%s", code, stdout, stderr)
	}
	d.says(ada, 20*day, &records.Heartbeat{Next: time.Now().Add(day).Unix()})
	add("a promise that is kept", "")
}
