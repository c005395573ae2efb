package index_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// largeNameOf has strangers claim left-pad: each of so many keys so many versions, all higher
// than anybody's who is honest, and half of them another module for 1.0.0 too.
func largeNameOf(t testing.TB, x *index.Index, keys, each int) {
	t.Helper()
	for k := range keys {
		s := newAuthor(t, fmt.Sprint("stranger", k))
		var items []index.Item
		for n := range each {
			v := records.Version(fmt.Sprintf("%d.%d.0", 99+n%7, n))
			if n == 0 && k%2 == 0 {
				v = "1.0.0"
			}
			i := s.says(release("left-pad", v, fmt.Sprint("evil", k, n)))
			i.Source.Stranger = true
			items = append(items, i)
		}
		tag := s.says(&records.Tag{Name: "left-pad", Tag: "latest", Version: "99.0.0"})
		tag.Source.Stranger = true
		add(t, x, append(items, tag)...)
	}
}

// early has an item come here two days ago.
func early(i index.Item) index.Item {
	i.Source.At = time.Now().AddDate(0, 0, -2)
	return i
}

// TestThreat61InfoOfACrowd is that what decides about a name comes first, and that of
// what strangers claim a little is read and the rest counted, however much it is: 2,400
// claims by 60 keys, or 98,000 by 1,000 with ES_FULL=1, within 2 seconds of a processor and 64 MiB.
func TestThreat61InfoOfACrowd(t *testing.T) {
	keys, each := 60, 40
	if full {
		keys, each = 1000, 98
	}
	x, ada := open(t), newAuthor(t, "ada")
	add(t, x, early(ada.says(release("left-pad", "1.0.0", "good"))))
	largeNameOf(t, x, keys, each)
	pinned := evaluatorOf(t, fmt.Sprintf("key %s left-pad\npin left-pad 1.0.0 %s\n", ada.fpr(), module("good")))
	for what, ev := range map[string]*trust.Evaluator{"trusted": trusting(t, ada), "pinned": pinned} {
		for _, constraint := range []string{"", "1.0.0", "latest", "^1"} {
			var info resolve.Info
			bounded(t, what+" info of "+constraint, func() {
				info = must[resolve.Info](t)(resolve.New(x).Info(t.Context(), "left-pad", constraint, ev, false))
			})
			first := info.Versions[0]
			if first.Version != "1.0.0" || first.Decision.State != trust.Trusted || first.Releases[0].Author != ada.fpr() {
				t.Errorf("%s, %q: first is %s, %s", what, constraint, first.Version, first.Decision.State)
			}
			n := 0
			for _, vi := range info.Versions {
				n += len(vi.Releases)
			}
			if constraint == "" && (n > 11 || n-1+info.Omitted.Claims != keys*each || info.Keys != keys+1 || len(info.Tags) > 10) {
				t.Errorf("%s: %d releases and %d tags shown, %+v, %d keys", what, n, len(info.Tags), info.Omitted, info.Keys)
			}
		}
		bounded(t, what+" search", func() {
			h := hits(t, x, "left-pad", 20, ev)[0]
			if h.Release.Author != ada.fpr() || h.Keys != keys+1 || len(h.Claimants) != resolve.MaxClaimants {
				t.Errorf("%s: hit %s by %s, %d keys", what, h.Release.Body.Version, h.Release.Author, h.Keys)
			}
		})
		bounded(t, what+" claims", func() {
			claims, _, err := resolve.New(x).Claims(t.Context(), "left-pad", "1.0.0", ev)
			if err != nil || len(claims) > 1003 || !slices.ContainsFunc(claims, func(c trust.Claim) bool { return c.Author == ada.fpr() }) {
				t.Errorf("%s: %d claims, %v", what, len(claims), err)
			}
		})
		bounded(t, what+" resolve", func() {
			if r, err := resolve.New(x).Resolve(t.Context(), "left-pad", "", ev); err != nil || r.Version != "1.0.0" {
				t.Errorf("%s: %s, %v", what, r.Version, err)
			}
		})
	}
	for _, constraint := range []string{"", "^1", "1.0.0", "latest", ">=99"} {
		bounded(t, "refusal of "+constraint, func() {
			_, err := resolve.New(x).Resolve(t.Context(), "left-pad", constraint, evaluatorOf(t, ""))
			var e *resolve.UntrustedError
			if !errors.As(err, &e) || len(e.Signers) != resolve.MaxClaimants || len(e.Decision.Claims) > 1000 {
				t.Fatalf("%q: %v", constraint, err)
			}
			if constraint != ">=99" && (e.Version != "1.0.0" || e.Signers[0].Key != ada.fpr()) {
				t.Errorf("%q is told of %s by %s", constraint, e.Version, e.Signers[0].Key)
			}
		})
	}
}

// bounded fails when f takes too long or too much.
func bounded(t *testing.T, what string, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := cpuTime()
	f()
	took := cpuTime() - start
	runtime.ReadMemStats(&after)
	t.Logf("%s: %v, %d MB allocated", what, took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20)
	if took > 2*time.Second {
		t.Errorf("%s took %v", what, took)
	}
	if got := after.HeapInuse - min(before.HeapInuse, after.HeapInuse); got > 64<<20 {
		t.Errorf("%s: the heap grew by %d MB", what, got>>20)
	}
}
