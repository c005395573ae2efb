package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// pushedFrames returns n frames as gossip brings them, by 20 authors in turn, and the
// lines of a trust file for these.
func pushedFrames(b *testing.B, n int) (frames [][]byte, lines string) {
	b.Helper()
	var authors []*author
	for range 20 {
		a := newAuthor(b)
		authors = append(authors, a)
		lines += fmt.Sprintf("key %s *\n", a.fingerprint())
	}
	now := time.Now()
	for i := range n {
		a := authors[i%len(authors)]
		r := testRelease(fmt.Sprintf("1.%d.0", i), someModule(i%100))
		r.Name = records.Name(fmt.Sprintf("pkg-%d", i/3))
		r.Manifest = records.Manifest{Description: "a module that does one thing and does it well", License: "MIT", Keywords: []string{"one", "thing"}}
		frames = append(frames, a.frame(a.sign(now, r)))
	}
	return frames, lines
}

// BenchmarkBatch has records of followed authors come by gossip, so many in a batch. An
// operation is one record.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{1, 4, 16, MaxQueued} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			frames, lines := pushedFrames(b, b.N)
			r := newReceiver(b)
			r.trusts("%s", lines)
			b.ResetTimer()
			for len(frames) > 0 {
				n := min(size, len(frames))
				items := make([]Item, n)
				for i, f := range frames[:n] {
					items[i] = Item{Kind: Frame, Data: f, Source: Source{Peer: "12D3", Origin: "192.0.2.7"}}
				}
				results, err := r.Batch(b.Context(), items)
				if err != nil {
					b.Fatal(err)
				}
				for i, result := range results {
					if verdictOf(result) != accept {
						b.Fatalf("record %d: %+v", i, result)
					}
				}
				frames = frames[n:]
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
