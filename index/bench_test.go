package index_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// TestMany adds many records by many authors, as a late joiner does: 1,000, or
// 10,000 with ES_FULL=1.
func TestMany(t *testing.T) {
	n := 1000
	if os.Getenv("ES_FULL") != "" {
		n = 10_000
	}
	x := open(t)
	var authors []*author
	for i := range 20 {
		authors = append(authors, newAuthor(t, fmt.Sprintf("a%02d", i)))
	}
	var batch []index.Item
	for i := range n {
		name := records.Name(fmt.Sprintf("pkg-%d", i/10))
		batch = append(batch, authors[i/10%20].says(described(name, records.Version(fmt.Sprintf("1.%d.0", i%10)), fmt.Sprintf("does thing %d well", i/10), "many")))
		if len(batch) == 500 || i == n-1 {
			add(t, x, batch...)
			batch = nil
		}
	}
	want := index.Counts{Authors: 20, Keys: 20, Records: int64(n), Releases: int64(n), Names: int64(n / 10)}
	if c := must[index.Counts](t)(x.Counts(t.Context())); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	trusted := trusting(t, authors...)
	r, err := resolve.New(x).Resolve(t.Context(), "pkg-42", "^1.0.0", trusted)
	if err != nil || r.Version != "1.9.0" || r.Release.Author != authors[2].fpr() {
		t.Errorf("resolved %+v, %v", r, err)
	}
	if hits := hits(t, x, "thing 42", 10, trusted); len(hits) != 1 || hits[0].Name != "pkg-42" || hits[0].Release.Body.Version != "1.9.0" {
		t.Errorf("hits %+v", hits)
	}
	if names := searched(t, x, "many", 10, trusted); len(names) != 10 {
		t.Errorf("%d hits", len(names))
	}
	if err := fsck.Check(t.Context(), x); err != nil {
		t.Error(err)
	}
}

// signed returns n envelopes by 20 authors, and their keys.
func signed(b *testing.B, n int) ([][]byte, sign.KeyRing) {
	b.Helper()
	ring := sign.KeyRing{}
	var authors []*author
	for i := range 20 {
		a := newAuthor(b, fmt.Sprintf("a%02d", i))
		authors = append(authors, a)
		ring[a.fpr()] = a.key
	}
	var envelopes [][]byte
	for i := range n {
		r := described(records.Name(fmt.Sprintf("pkg-%d", i/3)), records.Version(fmt.Sprintf("1.%d.0", i%3)), "a module that does one thing and does it well", "one", "thing")
		r.Manifest.License = "MIT"
		r.Manifest.Dependencies = map[string]string{"left-pad": "^1.3.0", "right-pad": "~2.0.0"}
		envelopes = append(envelopes, authors[i/3%20].says(r).Verified.Envelope())
	}
	return envelopes, ring
}

// BenchmarkVerifyAndAdd opens envelopes and adds them in batches. An operation is
// one record.
func BenchmarkVerifyAndAdd(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			envelopes, ring := signed(b, b.N)
			x := openAt(b, filepath.Join(b.TempDir(), "index"))
			b.ResetTimer()
			var batch []index.Item
			for i, e := range envelopes {
				v, err := sign.Open(e, ring)
				if err != nil {
					b.Fatal(err)
				}
				batch = append(batch, index.Item{Verified: v, Key: ring[v.Record().Author], Source: index.Source{At: start}})
				if len(batch) == size || i == len(envelopes)-1 {
					if _, err := x.AddAll(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
					batch = batch[:0]
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkVerify is the part of BenchmarkVerifyAndAdd that is package sign's.
func BenchmarkVerify(b *testing.B) {
	envelopes, ring := signed(b, 1000)
	i := 0
	for b.Loop() {
		if _, err := sign.Open(envelopes[i%len(envelopes)], ring); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkEd25519Raw is the least that verifying a record can cost.
func BenchmarkEd25519Raw(b *testing.B) {
	public, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 32)
	signature := ed25519.Sign(secret, message)
	for b.Loop() {
		if !ed25519.Verify(public, message, signature) {
			b.Fatal("does not verify")
		}
	}
}

// BenchmarkResolve resolves one of 2,000 names of an index with 6,000 records.
func BenchmarkResolve(b *testing.B) {
	envelopes, ring := signed(b, 6000)
	x := openAt(b, filepath.Join(b.TempDir(), "index"))
	var batch []index.Item
	text := ""
	for f := range ring {
		text += "key " + f.String() + " *\n"
	}
	for _, e := range envelopes {
		v, err := sign.Open(e, ring)
		if err != nil {
			b.Fatal(err)
		}
		batch = append(batch, index.Item{Verified: v, Key: ring[v.Record().Author]})
	}
	if _, err := x.AddAll(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	evaluator := evaluatorOf(b, text)
	for b.Loop() {
		r, err := resolve.New(x).Resolve(b.Context(), "pkg-777", "^1.0.0", evaluator)
		if err != nil || r.Decision.State != trust.Trusted {
			b.Fatal(err)
		}
	}
}

// BenchmarkKeyChange merges a revocation into the key of an author with 20,000
// records, while another author publishes.
func BenchmarkKeyChange(b *testing.B) {
	const n = 20_000
	x := openAt(b, filepath.Join(b.TempDir(), "index"))
	a, other := newAuthor(b, "ann"), newAuthor(b, "bob")
	var batch []index.Item
	for i := range n {
		batch = append(batch, a.says(release(records.Name(fmt.Sprintf("pkg-%d", i)), "1.0.0", "X")))
		if len(batch) == 500 {
			if _, err := x.AddAll(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
	var worst time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		revoked := a.revoked(packet.KeyRetired, a.now.Add(time.Duration(i)*time.Hour))
		b.StartTimer()
		done := make(chan error)
		go func() {
			_, _, err := x.AddKey(b.Context(), revoked)
			done <- err
		}()
		for published := false; !published; {
			it := other.says(release("left-pad", records.Version(fmt.Sprintf("1.%d.0", other.seq)), "X"))
			began := time.Now()
			if _, err := x.Add(b.Context(), it.Verified, it.Key, it.Source); err != nil {
				b.Fatal(err)
			}
			worst = max(worst, time.Since(began))
			select {
			case err := <-done:
				if err != nil {
					b.Fatal(err)
				}
				published = true
			default:
			}
		}
	}
	b.ReportMetric(float64(worst.Milliseconds()), "ms/worst-publish")
}
