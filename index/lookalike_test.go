package index_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/lookalike"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// popular reads the 1,000 npm names with the most downloads, the most popular first.
func popular(t testing.TB) []records.Name {
	t.Helper()
	b, err := os.ReadFile("testdata/popular.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []records.Name
	for line := range strings.Lines(string(b)) {
		all = append(all, must[records.Name](t)(records.ParseName(strings.TrimSpace(line))))
	}
	if len(all) != 1000 {
		t.Fatalf("%d names", len(all))
	}
	return all
}

// names releases 1.0.0 of each name.
func (a *author) names(names []records.Name) []index.Item {
	var items []index.Item
	for _, n := range names {
		items = append(items, a.says(release(n, "1.0.0", "X")))
	}
	return items
}

func nearNames(near []lookalike.Match) []records.Name {
	var all []records.Name
	for _, n := range near {
		all = append(all, n.Name)
	}
	return all
}

// A squat makes a name that looks like another one, or text that is none.
var squats = []func(r *rand.Rand, name string) string{
	func(r *rand.Rand, n string) string { return homoglyph(r, n, unicodeTwins) },
	func(r *rand.Rand, n string) string { return homoglyph(r, n, asciiTwins) },
	func(r *rand.Rand, n string) string { return strings.ToUpper(n[:1]) + n[1:] },
	func(r *rand.Rand, n string) string { return insert(n, inside(r, n), "\u200b") },
	func(r *rand.Rand, n string) string { return strings.NewReplacer("-", "", ".", "", "_", "").Replace(n) },
	func(r *rand.Rand, n string) string {
		return strings.NewReplacer("-", "_", ".", "-", "_", ".").Replace(n)
	},
	func(r *rand.Rand, n string) string { return insert(n, inside(r, n), "-") },
	func(r *rand.Rand, n string) string { i := inside(r, n); return insert(n, i, n[i:i+1]) },
	func(r *rand.Rand, n string) string { i := inside(r, n); return n[:i-1] + n[i:i+1] + n[i-1:i] + n[i+1:] },
	func(r *rand.Rand, n string) string { i := inside(r, n); return n[:i] + n[i+1:] },
	func(r *rand.Rand, n string) string { return insert(n, inside(r, n), string(rune('a'+r.IntN(26)))) },
	func(r *rand.Rand, n string) string {
		i := inside(r, n)
		return n[:i] + string(rune('a'+r.IntN(26))) + n[i+1:]
	},
	func(r *rand.Rand, n string) string {
		return n + []string{"1", "2", "s", "x", "-", ".js", "js"[:1]}[r.IntN(7)]
	},
}

var (
	unicodeTwins = strings.NewReplacer("a", "\u0430", "c", "\u0441", "e", "\u0435", "i", "\u0456", "o", "\u043e", "p", "\u0440", "s", "\u0455", "x", "\u0445", "y", "\u0443", "l", "\u04cf", "t", "\uff54", "r", "\uff52", "b", "\uff42")
	asciiTwins   = strings.NewReplacer("o", "0", "0", "o", "l", "1", "1", "l", "i", "l", "m", "rn", "w", "vv")
)

func homoglyph(_ *rand.Rand, n string, twins *strings.Replacer) string { return twins.Replace(n) }

func insert(n string, i int, s string) string { return n[:i] + s + n[i:] }

// inside chooses a letter that neither begins nor ends a word, nor follows one that
// begins it.
func inside(r *rand.Rand, n string) int {
	for {
		i := 2 + r.IntN(len(n)-3)
		if !strings.ContainsAny(n[i-2:i+2], "@/-_.") {
			return i
		}
	}
}

// TestThreat14LookAlikes is that of 500 squats, made by 13 rules from popular names,
// each is refused as a name or shown to look like the name that it was made of; and
// that fewer than 10 of the 1,000 most popular names look like another one of them.
func TestThreat14LookAlikes(t *testing.T) {
	x, ctx, known := open(t), t.Context(), popular(t)
	a := newAuthor(t, "ann")
	add(t, x, a.names(known)...)
	trusted := trusting(t, a)
	r := rand.New(rand.NewPCG(14, 0))
	for made := 0; made < 500; {
		n := known[r.IntN(len(known))]
		if len(n.Base()) < 6 || strings.ContainsAny(string(n.Base()[:4]), "-_.") {
			continue
		}
		squat := n.Scope()
		if squat != "" {
			squat += "/"
		}
		squat += squats[made%len(squats)](r, n.Base())
		if slices.Contains(known, records.Name(squat)) {
			continue
		}
		made++
		name, err := records.ParseName(squat)
		if err != nil {
			continue
		}
		if near := nearNames(must[[]lookalike.Match](t)(lookalike.Find(ctx, x, name, trusted))); !slices.Contains(near, n) {
			t.Errorf("%s, a squat of %s, looks like %v", squat, n, near)
		}
	}
	var wrong []records.Name
	for _, n := range known {
		if slices.ContainsFunc(known, n.LooksLike) {
			wrong = append(wrong, n)
		}
	}
	if len(wrong) > 9 {
		t.Errorf("%d false warnings: %s", len(wrong), wrong)
	}
}

// TestLookalikes is about whose names others may look like (SPEC R42 and R43).
func TestLookalikes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, ctx := openAt(t, path), t.Context()
	ann, bob, eve := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "eve")
	revoked := bob.revoked(packet.KeyCompromised, start.Add(time.Hour))
	add(t, x, ann.names([]records.Name{"left-pad", "express"})...)
	add(t, x, bob.names([]records.Name{"left-pad", "request"})...)
	add(t, x, strange(eve.names([]records.Name{"leftpad", "lodash", "left-padd"})...)...)
	check := func(what string, name records.Name, trusted *trust.Evaluator, want ...lookalike.Match) {
		t.Helper()
		if near := must[[]lookalike.Match](t)(lookalike.Find(ctx, x, name, trusted)); !slices.EqualFunc(near, want, func(a, b lookalike.Match) bool {
			return a.Name == b.Name && slices.Equal(a.Signers, b.Signers)
		}) {
			t.Errorf("%s: %s looks like %v, want %v", what, name, near, want)
		}
	}
	both := []records.Fingerprint{ann.fpr(), bob.fpr()}
	slices.SortFunc(both, func(a, b records.Fingerprint) int { return strings.Compare(a.String(), b.String()) })
	check("two who decide", "left.pad", trusting(t, ann, bob), lookalike.Match{Name: "left-pad", Signers: both})
	check("one of them", "left.pad", trusting(t, ann), lookalike.Match{Name: "left-pad", Signers: both[slices.Index(both, ann.fpr()):][:1]})
	check("a stranger's", "l0dash", trusting(t, ann, bob))
	check("another edit", "requests", trusting(t, ann, bob), lookalike.Match{Name: "request", Signers: []records.Fingerprint{bob.fpr()}})
	add(t, x, bob.names([]records.Name{"requests"})...)
	check("by its author", "requests", trusting(t, ann, bob))
	check("itself", "express", trusting(t, ann, bob))
	check("one edit", "expresso", trusting(t, ann, bob), lookalike.Match{Name: "express", Signers: []records.Fingerprint{ann.fpr()}})
	check("nobody", "left.pad", evaluatorOf(t, ""))
	check("somebody for another name", "left.pad", evaluatorOf(t, "key "+ann.fpr().String()+" express\n"))
	check("denied", "left.pad", evaluatorOf(t, "key "+ann.fpr().String()+" *\ndeny "+ann.fpr().String()+"\n"))
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	check("revoked", "requestt", trusting(t, ann, bob))

	// A store of the version before has no skeletons.
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	db := must[*sql.DB](t)(sql.Open("sqlite", path))
	for _, q := range []string{toVersion5, "DROP INDEX names_by_skeleton", "ALTER TABLE names DROP COLUMN skeleton", "PRAGMA user_version = 2"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	x = openAt(t, path)
	check("after a migration", "leftpad", trusting(t, ann), lookalike.Match{Name: "left-pad", Signers: []records.Fingerprint{ann.fpr()}})
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
}

// BenchmarkLookalikes asks for what a name looks like among 20,000, or with ES_FULL=1
// 226,974 names by a key that decides about all.
func BenchmarkLookalikes(b *testing.B) {
	n := 20_000
	if os.Getenv("ES_FULL") != "" {
		n = 226_974
	}
	x, ctx, a := open(b), b.Context(), newAuthor(b, "ann")
	known, r := popular(b), rand.New(rand.NewPCG(14, 1))
	var batch []index.Item
	for i := range n {
		name := known[i%1000].Base()
		if i >= 1000 {
			name = name[:len(name)/2] + strconv.Itoa(r.IntN(1_000_000)) + name[len(name)/2:]
		}
		batch = append(batch, a.says(release(records.Name(name), records.Version(fmt.Sprintf("1.%d.0", i)), "X")))
		if len(batch) == 2000 || i == n-1 {
			add(b, x, batch...)
			batch = nil
		}
	}
	trusted := trusting(b, a)
	for i := 0; b.Loop(); i++ {
		if _, err := lookalike.Find(ctx, x, known[i%1000]+"1", trusted); err != nil {
			b.Fatal(err)
		}
	}
}
