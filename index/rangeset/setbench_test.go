package rangeset_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// bigSet fills an index with made-up elements of 1,000 authors, in batches of 500.
func bigSet(b *testing.B, n int) *set {
	b.Helper()
	x := openAt(b, filepath.Join(b.TempDir(), "index"))
	for i := 0; i < n; i += 5000 {
		if err := x.update(b.Context(), someElements(i, 5000)); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func someElements(from, n int) map[records.Element]bool {
	changes := map[records.Element]bool{}
	for i := from; i < from+n; i++ {
		f, err := records.FingerprintFromBytes(module(fmt.Sprint("author ", i%1000)).Hash()[2:22])
		if err != nil {
			panic(err)
		}
		changes[records.RecordElement(f, module(fmt.Sprint("bench ", i)))] = true
	}
	return changes
}

// BenchmarkSet asks sets of 10^4 and 10^5 elements, and of 10^6 with ES_FULL=1.
func BenchmarkSet(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if full {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			x := bigSet(b, n)
			benchmarkSet(b, x, n)
		})
	}
}

func benchmarkSet(b *testing.B, x *set, n int) {
	ctx := b.Context()
	bound := func(i int) string {
		return "\x04" + string(binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761))
	}
	i := 0
	wide := func() records.Range {
		i++
		return records.Range{From: bound(i)}
	}
	narrow := func() records.Range {
		i++
		at := bound(i)
		return records.Range{From: at, To: at + "\xff"}
	}
	for _, question := range []struct {
		name string
		ask  func() error
	}{
		{"sum wide", func() error { _, err := x.Sum(ctx, wide()); return err }},
		{"sum narrow", func() error { _, err := x.Sum(ctx, narrow()); return err }},
		{"split into 16", func() error { _, err := x.Split(ctx, wide(), 16); return err }},
		{"100 elements", func() error { _, err := x.Elements(ctx, wide(), 100); return err }},
	} {
		b.Run(question.name, func(b *testing.B) {
			began := cpuTime()
			for b.Loop() {
				if err := question.ask(); err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, cpuTime()-began)
		})
	}
	b.Run("put 500", func(b *testing.B) {
		var used time.Duration
		for b.Loop() {
			b.StopTimer()
			n += 500
			changes := someElements(n, 500)
			began := cpuTime()
			b.StartTimer()
			if err := x.update(ctx, changes); err != nil {
				b.Fatal(err)
			}
			used += cpuTime() - began
		}
		reportCPU(b, used)
	})
}

func reportCPU(b *testing.B, used time.Duration) {
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
}
