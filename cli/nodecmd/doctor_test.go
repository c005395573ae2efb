package nodecmd

import (
	"strings"
	"testing"
	"time"

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
