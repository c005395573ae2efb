package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// What a doctor says of authors whose news seem to be withheld: since when, and how
// many were asked.
func TestDoctorOnWithheldNews(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ada := home.AuthorHealth{Label: "ada", Records: 10}
	ada.Newest = now.Add(-30 * 24 * time.Hour)
	answers := make([]api.Answer, 5)
	for i := range answers {
		answers[i].Authors = map[records.Fingerprint]api.Agreement{ada.Fingerprint: api.SameRecords}
	}
	for name, c := range map[string]struct {
		fresh home.Freshness
		want  string
	}{
		"overdue":  {home.Freshness{Promised: now.Add(-21*24*time.Hour - time.Hour)}, "head expired 21 days ago: promised news by 2026-11-01, and none is here; 5 peers asked, 5 of them with the same records"},
		"missing":  {home.Freshness{Missing: 3}, "3 records that others of theirs name, withheld or not here yet; 5 peers asked"},
		"both":     {home.Freshness{Missing: 1, Promised: now.Add(-36 * time.Hour)}, "1 record that others of theirs name, withheld or not here yet; head expired 1 day ago"},
		"promised": {home.Freshness{Promised: now.Add(time.Hour)}, "confirmed by 5 of 5 peers"},
	} {
		ada.Freshness = c.fresh
		var f findings
		checkAuthors(&f, home.Health{Authors: []home.AuthorHealth{ada}}, answers, now)
		if len(f) != 1 || !strings.Contains(f[0].Text, c.want) || (f[0].State == "ok") != (name == "promised") {
			t.Errorf("%s: %+v, want %q", name, f, c.want)
		}
	}
}

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
