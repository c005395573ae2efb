package search_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

var (
	namesFile  = flag.String("names", "", "names with versions, downloads and summaries for TestNames: see bench/search.sh")
	countNames = flag.Int("count-names", 10_000, "how many releases TestNames searches")
	keepIndex  = flag.String("keep", "", "where TestNames keeps its indexes")
	rankNames  = flag.Bool("ranks", true, "whether TestNames looks at which names come first")
	heldOut    = flag.Bool("held-out", false, "whether TestNames asks the searches in held-out.tsv too")
)

var epoch = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// A listed is a line of the file of names.
type listed struct {
	name      records.Name
	version   records.Version
	downloads int64
	summary   string
}

func readNames(t *testing.T) (all []listed) {
	t.Helper()
	f, err := os.Open(*namesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		name, err := records.ParseName(c[0])
		v, bad := records.ParseVersion(c[1])
		if err != nil || bad != nil || len(c) < 4 {
			continue
		}
		n, _ := strconv.ParseInt(c[2], 10, 64)
		all = append(all, listed{name, v, n, records.CleanText(c[3], records.MaxText)})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// pick takes n of the names, the most downloaded among them; when there are too few it
// repeats them with suffixes.
func pick(all []listed, n int) []listed {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b listed) int { return cmp.Compare(b.downloads, a.downloads) })
	rest := all[min(1000, len(all)):]
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for round, base := 2, len(all); len(all) < n; round++ {
		for _, l := range all[:min(base, n-len(all))] {
			l.name += records.Name(fmt.Sprintf("-%d", round))
			if _, err := records.ParseName(string(l.name)); err == nil {
				l.downloads = 0
				all = append(all, l)
			}
		}
	}
	return all[:min(n, len(all))]
}

// build makes the index, or finds it made, with the trust file that believes its keys.
func build(t *testing.T, all []listed) (*index.Index, *trust.Evaluator) {
	t.Helper()
	dir := *keepIndex
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("names-%d.db", len(all)))
	_, missing := os.Stat(path + ".trust")
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	if errors.Is(missing, fs.ErrNotExist) {
		file := fill(t, x, all)
		if err := os.WriteFile(path+".trust", file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path + ".trust")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := trust.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	return x, trust.Inputs{User: parsed, Now: epoch, Load: authorlog.New(x).Facts}.Evaluator()
}

// fill stores a release of each name, by 20 keys, signed on all processors.
func fill(t *testing.T, x *index.Index, all []listed) []byte {
	var file strings.Builder
	var secrets []*chained
	for i := range 20 {
		s, err := sign.NewSecretKey(fmt.Sprint("author ", i), "", epoch.Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, &chained{SecretKey: s})
		fmt.Fprintf(&file, "key %s *\n", s.Key().Fingerprint())
	}
	began, storing := time.Now(), time.Duration(0)
	for from := 0; from < len(all); from += 5000 {
		items := signAll(t, secrets, all[from:min(from+5000, len(all))])
		at := time.Now()
		if _, err := x.AddAll(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		storing += time.Since(at)
	}
	t.Logf("%d releases stored in %v, %.0f a second; signed and stored in %v", len(all), storing.Round(time.Second), float64(len(all))/storing.Seconds(), time.Since(began).Round(time.Second))
	return []byte(file.String())
}

// A chained key signs a log.
type chained struct {
	*sign.SecretKey
	seq  int64
	prev []cid.Cid
}

func (c *chained) release(l listed) (index.Item, error) {
	digest, err := multihash.Sum([]byte(l.name), multihash.SHA2_256, -1)
	if err != nil {
		return index.Item{}, err
	}
	body := &records.Release{Name: l.name, Version: l.version, Module: cid.NewCidV1(cid.DagProtobuf, digest), Size: 1, Files: 1}
	body.Manifest.Description = l.summary
	v, err := sign.Sign(context.Background(), c.SecretKey, &records.Record{Author: c.Key().Fingerprint(), Seq: c.seq, Prev: c.prev, Time: epoch.Unix(), Body: body})
	if err != nil {
		return index.Item{}, err
	}
	c.seq, c.prev = c.seq+1, []cid.Cid{v.ID()}
	return index.Item{Verified: v, Key: c.Key(), Source: index.Source{At: epoch}}, nil
}

func signAll(t *testing.T, secrets []*chained, all []listed) []index.Item {
	items := make([]index.Item, len(all))
	var group sync.WaitGroup
	for first := range secrets {
		group.Go(func() {
			for i := first; i < len(all); i += len(secrets) {
				var err error
				if items[i], err = secrets[first].release(all[i]); err != nil {
					t.Error(all[i].name, err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return items
}

// A finder is what is measured: the names that are found for a query, the best first.
type finder func(query string, limit int) []records.Name

// TestNames measures search over real names, for bench/search.sh.
func TestNames(t *testing.T) {
	if *namesFile == "" {
		t.Skip("needs -names")
	}
	file := readNames(t)
	all := pick(file, *countNames)
	x, view := build(t, all)
	searcher := search.New(x)
	find := func(query string, limit int) (names []records.Name) {
		found, err := searcher.Search(t.Context(), query, search.Options{Limit: limit}, view)
		if err != nil {
			t.Fatal(query, err)
		}
		return found.Names
	}
	measureTimes(t, all, find)
	if *rankNames && len(all) < len(file)*11/10 { // no name is there twice
		measureRanks(t, all, find)
		inWords(t, "queries.tsv", all, find)
		if *heldOut {
			inWords(t, "held-out.tsv", all, find)
		}
	}
}

// measureTimes draws 2,000 queries from the names.
func measureTimes(t *testing.T, all []listed, find finder) {
	random := rand.New(rand.NewPCG(7, 7))
	kinds := []struct {
		what string
		from func(name string) string
	}{
		{"1 letter", func(n string) string { return n[:1] }},
		{"2 to 4 letters", func(n string) string { return n[:min(len(n), 2+random.IntN(3))] }},
		{"5 to 8 letters", func(n string) string { return n[:min(len(n), 5+random.IntN(4))] }},
		{"whole name", func(n string) string { return n }},
		{"two words", func(string) string { return twoWords(random, all) }},
		{"one typo", func(n string) string { return typo(random, n, random.IntN(4)) }},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var every, everyUsed []time.Duration
	for _, k := range kinds {
		var took, used []time.Duration
		for i := range 2000/len(kinds) + 20 {
			query := k.from(string(all[random.IntN(len(all))].name))
			at, cpu := time.Now(), cpuTime()
			find(query, 20)
			if i >= 20 { // the first ones warm up
				took, used = append(took, time.Since(at)), append(used, cpuTime()-cpu)
			}
		}
		t.Logf("%-16s %s | processor %s", k.what, percentiles(took), percentiles(used))
		every, everyUsed = append(every, took...), append(everyUsed, used...)
	}
	t.Logf("%-16s %s | processor %s", "all", percentiles(every), percentiles(everyUsed))
}

func percentiles(took []time.Duration) string {
	slices.Sort(took)
	ms := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))].Microseconds()) / 1000
	}
	return fmt.Sprintf("p50 %6.2f  p90 %6.2f  p99 %6.2f  max %6.2f ms", ms(0.5), ms(0.9), ms(0.99), ms(1))
}

// twoWords are two words of a summary, or of a name.
func twoWords(random *rand.Rand, all []listed) string {
	for {
		l := all[random.IntN(len(all))]
		words := strings.FieldsFunc(strings.ToLower(l.summary), func(r rune) bool { return r < 'a' || r > 'z' })
		if len(words) > 1 {
			i := random.IntN(len(words) - 1)
			return words[i] + " " + words[i+1]
		}
	}
}

// typo is the name with one edit: two letters swapped, one left out, doubled or replaced.
func typo(random *rand.Rand, name string, kind int) string {
	i := random.IntN(len(name))
	switch {
	case kind == 0 && len(name) > 1:
		if i == len(name)-1 {
			i--
		}
		return name[:i] + name[i+1:i+2] + name[i:i+1] + name[i+2:]
	case kind == 1 && len(name) > 1:
		return name[:i] + name[i+1:]
	case kind == 2:
		return name[:i] + name[i:i+1] + name[i:]
	}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	at := random.IntN(len(letters) - 1)
	if letters[at] >= name[i] {
		at++
	}
	return name[:i] + letters[at:at+1] + name[i+1:]
}

// A tally counts which queries find their name among the first few.
type tally struct {
	what   string
	within int
	asked  int
	found  int
	first  int
	misses []string
}

func (c *tally) ask(find finder, query string, wanted ...records.Name) {
	c.asked++
	place := slices.IndexFunc(find(query, c.within), func(n records.Name) bool { return slices.Contains(wanted, n) })
	switch {
	case place == 0:
		c.first++
		fallthrough
	case place > 0:
		c.found++
	default:
		c.misses = append(c.misses, fmt.Sprintf("%q (%s)", query, wanted[0]))
	}
}

func (c *tally) log(t *testing.T) {
	if c.asked == 0 {
		return
	}
	t.Logf("%-44s first %d: %5.1f%%  first: %5.1f%%  of %d", c.what, c.within, 100*float64(c.found)/float64(c.asked), 100*float64(c.first)/float64(c.asked), c.asked)
	t.Logf("    misses: %s", strings.Join(c.misses, ", "))
}

// measureRanks asks for the 1,000 most downloaded.
func measureRanks(t *testing.T, all []listed, find finder) {
	random := rand.New(rand.NewPCG(3, 3))
	whole := &tally{what: "whole name", within: 1}
	spaced := &tally{what: "without scope, spaces for dashes", within: 5}
	half := &tally{what: "first half of the letters", within: 10}
	typos, short := make([]*tally, 4), make([]*tally, 4)
	for kind, what := range []string{"swap", "drop", "double", "replace"} {
		typos[kind] = &tally{what: "typo, five letters and more: " + what, within: 5}
		short[kind] = &tally{what: "typo, shorter names: " + what, within: 5}
	}
	for _, l := range all[:min(1000, len(all))] {
		name := string(l.name)
		whole.ask(find, name, l.name)
		spaced.ask(find, strings.ReplaceAll(l.name.Base(), "-", " "), l.name)
		half.ask(find, name[:(len(name)+1)/2], l.name)
		for kind := range typos {
			wrong := typo(random, name, kind)
			if wrong == name {
				continue
			}
			if len(name) >= 5 {
				typos[kind].ask(find, wrong, l.name)
			} else {
				short[kind].ask(find, wrong, l.name)
			}
		}
	}
	for _, c := range slices.Concat([]*tally{whole, spaced, half}, typos, short) {
		c.log(t)
	}
}

// inWords asks the searches in words of a file of bench/search.
func inWords(t *testing.T, file string, all []listed, find finder) {
	here := map[records.Name]bool{}
	for _, l := range all {
		here[l.name] = true
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "bench", "search", file))
	if err != nil {
		t.Fatal(err)
	}
	c := &tally{what: "in words, " + file, within: 10}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		query, names, _ := strings.Cut(strings.TrimSpace(line), "\t")
		var wanted []records.Name
		for n := range strings.FieldsSeq(names) {
			if here[records.Name(n)] {
				wanted = append(wanted, records.Name(n))
			}
		}
		if len(wanted) > 0 {
			c.ask(find, query, wanted...)
		}
	}
	c.log(t)
}
