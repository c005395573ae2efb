package index_test

import (
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// TestThreat54BackdatedStatements: a thief of a key that has ended dates back
// statements of every kind that makes somebody decide or chooses what is used. Those
// that come long after the end do nothing; the same ones in time do what they say.
// SPEC T110.
func TestThreat54BackdatedStatements(t *testing.T) {
	until := start.AddDate(2, 0, 0).Unix()
	yank := func(about cid.Cid, text string) *records.Notice {
		return &records.Notice{Name: "lib", Record: about, NoticeOf: records.Yanked, Text: text}
	}
	type scene struct {
		root, thief *author
		before      []cid.Cid // what root said in time
	}
	type says func(s scene) []index.Item
	one := func(body func(s scene) records.Body) says {
		return func(s scene) []index.Item { return []index.Item{s.root.says(body(s))} }
	}
	for name, c := range map[string]struct {
		before, late says
		want, inTime string // the version that is chosen, or "none"
	}{
		"successor": {
			late:   one(func(s scene) records.Body { return &records.Successor{To: s.thief.fpr()} }),
			want:   "1.1.0",
			inTime: "2.0.0",
		},
		"delegation": {
			late: one(func(s scene) records.Body {
				return &records.Delegate{To: s.thief.fpr(), Scopes: []records.Scope{"lib"}, Until: until}
			}),
			want:   "1.1.0",
			inTime: "2.0.0",
		},
		"delegation for one that was taken back": {
			before: func(s scene) []index.Item {
				return []index.Item{s.root.says(&records.Delegate{To: s.thief.fpr(), Scopes: []records.Scope{"lib"}, Until: until}), s.root.says(&records.Delegate{To: s.thief.fpr()})}
			},
			late:   one(func(s scene) records.Body { return yank(s.before[len(s.before)-1], "a mistake") }),
			want:   "1.1.0",
			inTime: "2.0.0",
		},
		"delegation that takes back": {
			before: one(func(s scene) records.Body {
				return &records.Delegate{To: s.thief.fpr(), Scopes: []records.Scope{"lib"}, Until: until}
			}),
			late:   one(func(s scene) records.Body { return &records.Delegate{To: s.thief.fpr()} }),
			want:   "1.1.0", // it counts, late too
			inTime: "1.1.0",
		},
		"tag": {
			late:   one(func(s scene) records.Body { return &records.Tag{Name: "lib", Tag: "latest", Version: "1.0.0"} }),
			want:   "1.1.0",
			inTime: "1.0.0",
		},
		"tag taken away": {
			before: one(func(s scene) records.Body { return &records.Tag{Name: "lib", Tag: "latest", Version: "1.0.0"} }),
			late:   one(func(s scene) records.Body { return &records.Tag{Name: "lib", Tag: "latest"} }),
			want:   "1.0.0",
			inTime: "1.1.0",
		},
		"yank taken back": {
			before: one(func(s scene) records.Body {
				return &records.Notice{Name: "lib", Range: "1.1.0", NoticeOf: records.Yanked, Text: "hole"}
			}),
			late: one(func(s scene) records.Body {
				return &records.Notice{Name: "lib", Range: "1.1.0", NoticeOf: records.Yanked}
			}),
			want:   "1.0.0",
			inTime: "1.1.0",
		},
		"yank": {
			late: one(func(s scene) records.Body {
				return &records.Notice{Name: "lib", Range: "1.1.0", NoticeOf: records.Yanked, Text: "hole"}
			}),
			want:   "1.0.0", // it counts, late too
			inTime: "1.0.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, inTime := range []bool{false, true} {
				x := open(t)
				s := scene{root: newAuthor(t, "root"), thief: newAuthor(t, "thief")}
				add(t, x, s.root.says(release("lib", "1.0.0", "a")), s.root.says(release("lib", "1.1.0", "b")))
				if c.before != nil {
					for _, item := range c.before(s) {
						s.before = append(s.before, item.Verified.ID())
						add(t, x, item)
					}
				}
				add(t, x, s.thief.says(release("lib", "2.0.0", "c")), s.thief.says(&records.Successor{From: s.root.fpr()}))
				for _, item := range c.late(s) {
					if item.Source.At = start.AddDate(0, 0, 60); inTime {
						item.Source.At = start
					}
					add(t, x, item)
				}
				if _, _, err := x.AddKey(t.Context(), s.root.revoked(packet.KeyRetired, start.Add(24*time.Hour))); err != nil {
					t.Fatal(err)
				}
				evaluator := believe(t, x, "key "+s.root.fpr().String()+" lib follow=yes depth=1\n", start.AddDate(0, 0, 90))
				got, want := "none", c.want
				if r, err := resolve.New(x).Resolve(t.Context(), "lib", "", evaluator); err == nil {
					got = string(r.Version)
				}
				if inTime {
					want = c.inTime
				}
				if got != want {
					t.Errorf("in time %v: chooses %s, want %s", inTime, got, want)
				}
				if inTime || name != "successor" && name != "delegation" {
					continue
				}
				d, err := resolve.New(x).Decide(t.Context(), "lib", "1.1.0", evaluator)
				if err != nil || len(d.Warnings) == 0 || d.Warnings[len(d.Warnings)-1].Kind != trust.WarnBackdatedGrant {
					t.Errorf("the user is not told: %+v, %v", d.Warnings, err)
				}
			}
		})
	}
}
