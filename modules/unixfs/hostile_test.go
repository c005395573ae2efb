package unixfs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/extract"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// refused extracts root without a signed size and wants it refused by rule, in
// under a second, with nothing left and nothing outside touched.
func refused(t *testing.T, name string, blocks unixfs.Blocks, c cid.Cid, rules ...string) {
	t.Helper()
	outside := t.TempDir()
	dir := filepath.Join(outside, "node_modules")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	before := treetest.Snapshot(t, outside)
	root := treetest.OpenRoot(t, dir)
	if tree, err := unixfs.Inspect(t.Context(), blocks, records.Unbounded(c)); err == nil {
		t.Errorf("%s: has been inspected: %d files, %d bytes", name, len(tree.Files), tree.Size)
	}
	start := treetest.CPUTime()
	_, err := extract.Extract(t.Context(), blocks, records.Unbounded(c), root, "x", extract.Options{})
	if took := treetest.CPUTime() - start; took > time.Second {
		t.Errorf("%s: took %v", name, took)
	}
	rule := treetest.RuleOf(err)
	if rule == "" || !strings.Contains(" "+strings.Join(rules, " ")+" ", " "+rule+" ") {
		t.Errorf("%s: got %v [%s], want rule %v", name, err, rule, rules)
	}
	if after := treetest.Snapshot(t, outside); after != before {
		t.Errorf("%s: left behind:\n%s", name, after)
	}
}

// TestThreat36Bombs shows SPEC M21, M22 and M25.
func TestThreat36Bombs(t *testing.T) {
	bombs := map[string]func(m *treetest.Store) (dagpb.Link, []string){
		"a file of 7 blocks and 6.9e18 bytes": func(m *treetest.Store) (dagpb.Link, []string) {
			part, size := m.Raw(make([]byte, 1<<18)), uint64(1<<18)
			for range 7 {
				links, sizes := make([]dagpb.Link, 83), make([]uint64, 83)
				for i := range links {
					links[i], sizes[i] = part, size
				}
				part = m.File(sizes, links...)
				size *= 83
			}
			return m.Dir(treetest.Named("x", part)), []string{"M26"}
		},
		"a file whose size overflows": func(m *treetest.Store) (dagpb.Link, []string) {
			part, size := m.Raw(make([]byte, 1<<20)), uint64(1<<20)
			for range 24 {
				part = m.File([]uint64{size, size, size, size}, part, part, part, part)
				size *= 4
			}
			return m.Dir(treetest.Named("x", part)), []string{"M26"}
		},
		"directories that multiply": func(m *treetest.Store) (dagpb.Link, []string) {
			d := m.Dir(treetest.Named("f", m.Raw(make([]byte, 1024))))
			for range 9 {
				links := make([]dagpb.Link, 100)
				for i := range links {
					links[i] = treetest.Named(fmt.Sprintf("d%02d", i), d)
				}
				d = m.Dir(links...)
			}
			return d, []string{"M25", "M26", "M22", "M27"}
		},
		"empty directories that multiply": func(m *treetest.Store) (dagpb.Link, []string) {
			d := m.Dir()
			for range 9 {
				links := make([]dagpb.Link, 256)
				for i := range links {
					links[i] = treetest.Named(fmt.Sprintf("d%03d", i), d)
				}
				d = m.Dir(links...)
			}
			return d, []string{"M25", "M22"}
		},
		"one file linked 50,000 times": func(m *treetest.Store) (dagpb.Link, []string) {
			f := m.Raw(make([]byte, 40_000))
			links := make([]dagpb.Link, 40_000)
			for i := range links {
				links[i] = treetest.Named(fmt.Sprintf("f%05d", i), f)
			}
			return m.Dir(links...), []string{"M27"}
		},
		"a HAMT of itself": func(m *treetest.Store) (dagpb.Link, []string) {
			shard := m.Node(fullShard(), shardLinks(func(i int) dagpb.Link {
				return treetest.Named(fmt.Sprintf("%02Xname%d", i, i), m.Raw([]byte("x")))
			})...)
			for range 7 {
				shard = m.Node(fullShard(), shardLinks(func(i int) dagpb.Link {
					return treetest.Named(fmt.Sprintf("%02X", i), shard)
				})...)
			}
			return shard, []string{"M29"}
		},
		"a HAMT without names": func(m *treetest.Store) (dagpb.Link, []string) {
			shard := m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 256})
			for range 7 {
				shard = m.Node(fullShard(), shardLinks(func(i int) dagpb.Link {
					return treetest.Named(fmt.Sprintf("%02X", i), shard)
				})...)
			}
			return shard, []string{"M29"}
		},
		"a chunk for each byte": func(m *treetest.Store) (dagpb.Link, []string) {
			one := m.Raw([]byte("x"))
			links, sizes := make([]dagpb.Link, 40_000), make([]uint64, 40_000)
			for i := range links {
				links[i], sizes[i] = one, 1
			}
			return m.Dir(treetest.Named("x", m.File(sizes, links...))), []string{"M28"}
		},
		"a million chunks for each byte of a few": func(m *treetest.Store) (dagpb.Link, []string) {
			empty := m.File(nil)
			links := make([]dagpb.Link, 40_000)
			for i := range links {
				links[i] = empty
			}
			f := m.File(make([]uint64, 40_000), links...)
			links = make([]dagpb.Link, 40_000)
			for i := range links {
				links[i] = f
			}
			return m.Dir(treetest.Named("x", m.File(make([]uint64, 40_000), links...))), []string{"M22"}
		},
		"5,000 levels of directories": func(m *treetest.Store) (dagpb.Link, []string) {
			d := m.Dir(treetest.Named("f", m.Raw([]byte("x"))))
			for range 5000 {
				d = m.Dir(treetest.Named("d", d))
			}
			return d, []string{"M24"}
		},
		"5,000 levels of a file": func(m *treetest.Store) (dagpb.Link, []string) {
			f := m.Raw([]byte("x"))
			for range 5000 {
				f = m.File([]uint64{1}, f)
			}
			return m.Dir(treetest.Named("f", f)), []string{"M22"}
		},
		"a block of more than 2 MiB": func(m *treetest.Store) (dagpb.Link, []string) {
			return m.Dir(treetest.Named("f", m.Raw(make([]byte, unixfs.MaxBlock+1)))), []string{"M21"}
		},
	}
	for name, build := range bombs {
		m := treetest.New()
		root, rules := build(m)
		refused(t, name, m, root.CID, rules...)
		refused(t, name+", sizes known", treetest.Sized{Store: m}, root.CID, rules...)
	}
}

func fullShard() *dagpb.FSNode {
	bitmap := make([]byte, 32)
	for i := range bitmap {
		bitmap[i] = 0xFF
	}
	return &dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: bitmap, HasData: true, HashType: dagpb.HashMurmur3, Fanout: 256}
}

func shardLinks(link func(i int) dagpb.Link) []dagpb.Link {
	links := make([]dagpb.Link, 256)
	for i := range links {
		links[i] = link(i)
	}
	return links
}

func TestATreeStopsAtTheFirstByteAndFileBeyondItsRelease(t *testing.T) {
	m, store := treetest.Pack(t, treetest.Everything(1))
	for _, b := range []records.Target{
		{CID: m.CID, Size: m.Size - 1, Files: m.Files}, {CID: m.CID, Size: m.Size + 1, Files: m.Files},
		{CID: m.CID, Size: m.Size, Files: m.Files - 1}, {CID: m.CID, Size: m.Size, Files: m.Files + 1},
		{CID: m.CID, Size: 0, Files: m.Files}, {CID: m.CID, Size: m.Size, Files: 0},
	} {
		if _, err := unixfs.Inspect(t.Context(), store, b); treetest.RuleOf(err) != "M26" {
			t.Errorf("bounds %d bytes and %d files for %d and %d: %v", b.Size, b.Files, m.Size, m.Files, err)
		}
	}
	if _, err := unixfs.Inspect(t.Context(), store, records.Unbounded(m.CID)); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}

// TestSizesThatLieAreFoundWhileWriting has leaves that are not as large as their
// file says. Inspect believes it, unless it is told sizes.
func TestSizesThatLieAreFoundWhileWriting(t *testing.T) {
	for stated, actual := range map[uint64]int{10: 9, 9: 10, 1 << 20: 1, 1: 1 << 20} {
		m := treetest.New()
		root := m.Dir(treetest.Named("x", m.File([]uint64{stated, 3}, m.Raw(make([]byte, actual)), m.Raw([]byte("end")))))
		dir := t.TempDir()
		_, err := extract.Extract(t.Context(), m, records.Unbounded(root.CID), treetest.OpenRoot(t, dir), "x", extract.Options{})
		if treetest.RuleOf(err) != "M23" {
			t.Errorf("%d bytes stated for %d: %v", stated, actual, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d bytes stated for %d: %v is left", stated, actual, left)
		}
		refused(t, "with sizes", treetest.Sized{Store: m}, root.CID, "M23")
	}
	// Sizes that are wrong one by one, and right together.
	m := treetest.New()
	root := m.Dir(treetest.Named("x", m.File([]uint64{10, 3}, m.Raw([]byte("123456789")), m.Raw([]byte("1234")))))
	if _, err := extract.Extract(t.Context(), m, records.Unbounded(root.CID), treetest.OpenRoot(t, t.TempDir()), "x", extract.Options{}); treetest.RuleOf(err) != "M23" {
		t.Errorf("10 and 3 bytes stated for 9 and 4: %v", err)
	}
	leaf := m.Raw([]byte("12345"))
	refused(t, "two sizes for one leaf", m, m.Dir(treetest.Named("x", m.File([]uint64{5}, leaf)), treetest.Named("y", m.File([]uint64{6}, leaf))).CID, "M23")
}

// hostileNames are names that mean something other than a file of that name on
// some system.
func hostileNames() []string {
	names := []string{
		"", ".", "..", "/", "//", "../x", "../../x", "a/../../x", "a/..", "./x", "/etc/passwd", "//host/share", "a/b", "x/", "/x",
		`..\x`, `a\b`, `\`, `\\host\share`, `C:\x`, "C:", "C:x", "c:/x", "x:ads", "x:$DATA", "x::$INDEX_ALLOCATION", "$MFT:x", `\\?\C:\x`, `\\.\nul`,
		"\x00", "a\x00", "\x00a", "a\x00/../b", "a\x00.js", "con", "CON", "Con.txt", "con.tar.gz", "prn", "PRN.js", "aux", "aux.c", "AUX.h", "nul", "NUL.",
		"nul.txt", "CONIN$", "conout$", "conout$.x", "con .txt", "nul  ", "COM¹", "com².js", "LPT³.txt", "a.", "a..", "...", "....", "a ", " ", "  ", "a. ",
		"a .", ". ", ".. ", ".. .", "...x.", "<", ">", `"`, "|", "?", "*", "a*b", "what?.js", "a|b", "<x>", `"x"`, "GIT~1", "git~1", "PROGRA~1", "A~2.JS", "longf~10.txt",
		".git", ".GIT", ".Git", ".g\u200cit", ".\u200dgit", ".giT", "\u202ex", "a\u202ejs.exe", "\u202a", "\u202b", "\u202c", "\u202d", "\u2066x", "\u2067", "\u2068", "\u2069",
		"\u200e", "\u200f", "\u061c", "\u200b", "a\u200bb", "\ufeff", "\ufeffx", "\u00ad", "\u2060", "\u2061", "\u2062", "\u2063", "\u2064", "\u206a", "\u206f", "\u180e", "\u034f",
		"\u115f", "\u1160", "\u3164", "\uffa0", "\u2028", "\u2029", "\ufff9", "\ufffa", "\ufffb", "\ufffd", "\ufffe", "\uffff", "\U000e0001", "\U000e0041", "\U000e007f",
		"\x7f", "\u0080", "\u009b", "\u0085", "\u009f", "\x1b[2J", "\x1b]0;x\x07", "a\rb", "a\nb", "\t", "a\tb", "\b", "a\b\bxx", "\x0b", "\x0c",
		"\xff", "\xc0\xaf", "\xc0\xae\xc0\xae", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe9", "\x80", "\xc3", "\xe0\x80\xaf", "\xf8\x88\x80\x80\x80",
		strings.Repeat("a", 256), strings.Repeat("ü", 128), strings.Repeat("a", 5000),
		"%2e%2e/x", "..%2f/x", "a/b/../../../x", "a//b", "x/./y", "dir/con", "dir/nul/x", "..;/x", "../", "..//", "../..", "../../..", "..\\..", "~/../x", "a/.git/config",
	}
	for i := range 32 {
		names = append(names, fmt.Sprintf("c%c", rune(i)), fmt.Sprintf("%cstart", rune(i)))
	}
	for i := range 10 {
		names = append(names, fmt.Sprintf("com%d", i), fmt.Sprintf("LPT%d.txt", i), fmt.Sprintf("Com%d.tar.gz", i))
	}
	for depth := range 40 {
		names = append(names, strings.Repeat("../", depth+2)+"escaped")
	}
	return names
}

func TestThreat37HostileNames(t *testing.T) {
	names := hostileNames()
	if len(names) < 300 {
		t.Fatalf("only %d hostile names", len(names))
	}
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			t.Errorf("the name %q is there twice", name)
		}
		seen[name] = true
		if err := unixfs.CheckPath(name); err == nil && !strings.Contains(name, "/") {
			t.Errorf("the name %q is taken", name)
		}
		m := treetest.New()
		file := m.Raw([]byte("x"))
		refused(t, fmt.Sprintf("file %q", name), m, m.Dir(treetest.Named("ok", file), treetest.Named(name, file)).CID, "M10")
		refused(t, fmt.Sprintf("directory %q", name), m, m.Dir(treetest.Named(name, m.Dir(treetest.Named("ok", file)))).CID, "M10")
		refused(t, fmt.Sprintf("deep %q", name), m, m.Dir(treetest.Named("ok", m.Dir(treetest.Named(name, file)))).CID, "M10")
		if name != "" { // in a HAMT, no name means a node
			refused(t, fmt.Sprintf("HAMT %q", name), m, hamtOf(m, treetest.Named(name, file)).CID, "M10")
		}
	}
}

// hamtOf makes a HAMT directory of entries, however few.
func hamtOf(m *treetest.Store, entries ...dagpb.Link) dagpb.Link {
	l, err := unixfs.StoreHAMT(context.Background(), m, entries)
	if err != nil {
		panic(err)
	}
	return l
}

func TestOrdinaryNamesOfEveryScriptAreTaken(t *testing.T) {
	for _, name := range []string{
		"index.js", ".npmignore", ".eslintrc.json", "grüße.txt", "日本語.md", "файл", "e\u0301.js", "é.js", "a b", "-x", "~", "a~", "~1", "$x", "@scope",
		"#", "(a)", "[id].js", "{x}", "a+b", "a,b", "a;b", "a=b", "a&b", "a'b", "`", "^", "%", "!", "...x", "..x", "x..y", "con1", "console", "auxiliary.js", "null", "com10",
		"com", "lpt", "common.js", "node_modules", ".gitignore", ".github", "git", "👩\u200d💻.svg", "❤️.png", "क्\u200dष.txt", strings.Repeat("a", 255), "longfilename~1.txt",
	} {
		if reason := unixfs.ElementProblem(name); reason != "" {
			t.Errorf("the name %q %s", name, reason)
		}
	}
}

func collisionPairs() [][2]string {
	pairs := [][2]string{
		{"straße", "strasse"}, {"straße", "STRASSE"}, {"ẞ", "ss"}, {"é", "e\u0301"}, {"É", "e\u0301"}, {"Å", "\u212b"}, {"K", "\u212a"}, {"ﬁ", "fi"}, {"ﬀ", "FF"},
		{"ſ", "s"}, {"Σ", "ς"}, {"σ", "ς"}, {"µ", "μ"}, {"Ω", "\u2126"}, {"ǆ", "Ǆ"}, {"ǅ", "ǆ"}, {"İ", "i\u0307"}, {"가", "\u1100\u1161"}, {"が", "か\u3099"},
		{"ö", "o\u0308"}, {"Ǻ", "Å\u0301"}, {"x\u200d", "x"}, {"a\u200cb", "ab"}, {"ŉ", "ʼn"}, {"ΐ", "ι\u0308\u0301"}, {"և", "եւ"}, {"ᾳ", "αι"},
	}
	words := []string{"readme", "index.js", "lib", "main", "package", "license", "test-data", "a", "x.y.z", "node", "module", "äpfel", "école", "москва", "ωmega", "straße1"}
	for _, w := range words {
		pairs = append(pairs, [2]string{w, strings.ToUpper(w)})
		for i, r := range w {
			if up := strings.ToUpper(string(r)); up != string(r) {
				pairs = append(pairs, [2]string{w, w[:i] + up + w[i+len(string(r)):]})
			}
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		pairs = append(pairs, [2]string{string(c) + ".js", string(c-32) + ".js"}, [2]string{"x" + string(c), "X" + string(c)}, [2]string{"0" + string(c), "0" + string(c-32)})
	}
	return pairs
}

func TestThreat39Collisions(t *testing.T) {
	pairs := collisionPairs()
	seen := map[[2]string]bool{}
	for _, p := range pairs {
		if p[0] == p[1] || seen[p] {
			continue
		}
		seen[p] = true
		_, err := modules.ScanFS(fstest.MapFS{npmjson.FileName: treetest.Text(treetest.MinimalPackage), p[0]: treetest.Text("a"), p[1]: treetest.Text("b")})
		if treetest.RuleOf(err) != "M11" || !strings.Contains(err.Error(), fmt.Sprintf("%q", p[0])) || !strings.Contains(err.Error(), fmt.Sprintf("%q", p[1])) {
			t.Errorf("publishing %q and %q: %v", p[0], p[1], err)
		}
		_, err = modules.ScanFS(fstest.MapFS{npmjson.FileName: treetest.Text(treetest.MinimalPackage), p[0] + "/x": treetest.Text("a"), p[1] + "/y": treetest.Text("b")})
		if treetest.RuleOf(err) != "M11" {
			t.Errorf("publishing directories %q and %q: %v", p[0], p[1], err)
		}
		m := treetest.New()
		a, b := treetest.Named(p[0], m.Raw([]byte("a"))), treetest.Named(p[1], m.Dir(treetest.Named("x", m.Raw([]byte("b")))))
		refused(t, fmt.Sprintf("%q and %q", p[0], p[1]), m, m.Dir(a, b).CID, "M11")
		refused(t, fmt.Sprintf("HAMT %q and %q", p[0], p[1]), m, hamtOf(m, a, b).CID, "M11")
	}
	if len(seen) < 200 {
		t.Errorf("only %d collision pairs", len(seen))
	}
	m := treetest.New()
	file := m.Raw([]byte("x"))
	refused(t, "one name twice", m, m.Dir(treetest.Named("x", file), treetest.Named("x", file)).CID, "M11")
}

func TestThreat38Links(t *testing.T) {
	m := treetest.New()
	file := m.Raw([]byte("x"))
	symlink := m.Node(&dagpb.FSNode{Type: dagpb.TypeSymlink, Data: []byte("/etc/passwd"), HasData: true})
	nodes := map[string]struct {
		link dagpb.Link
		rule string
	}{
		"symbolic link":           {symlink, "M12"},
		"metadata":                {m.Node(&dagpb.FSNode{Type: dagpb.TypeMetadata}), "M23"},
		"unknown type":            {m.Node(&dagpb.FSNode{Type: 9}), "M23"},
		"link without size":       {m.Node(&dagpb.FSNode{Type: dagpb.TypeFile}, file), "M23"},
		"size without link":       {m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, BlockSizes: []uint64{1}}), "M23"},
		"wrong file size":         {m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, HasFileSize: true, FileSize: 2, BlockSizes: []uint64{1}}, file), "M23"},
		"directory in a file":     {m.File([]uint64{0}, m.Dir()), "M23"},
		"symbolic link in a file": {m.File([]uint64{11}, symlink), "M23"},
		"not protobuf":            {m.Block(cid.DagProtobuf, []byte{0xff}), "M23"},
		"no UnixFS":               {m.Block(cid.DagProtobuf, nil), "M23"},
		"a HAMT of another hash":  {m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: 0x12, Fanout: 256}), "M29"},
		"a HAMT too wide":         {m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 512}), "M29"},
		"a HAMT of an odd width":  {m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 24}), "M29"},
		"a HAMT with more bits than links": {m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 256, Data: []byte{3}, HasData: true},
			treetest.Named("00x", file)), "M29"},
		"a HAMT with a name out of place": {m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 256, Data: []byte{1}, HasData: true},
			treetest.Named("00x", file)), "M29"},
	}
	for name, n := range nodes {
		for where, root := range map[string]dagpb.Link{
			"top": m.Dir(treetest.Named("ok", file), treetest.Named("x", n.link)), "deep": m.Dir(treetest.Named("d", m.Dir(treetest.Named("x", n.link)))), "hamt": hamtOf(m, treetest.Named("x", n.link)),
		} {
			refused(t, name+" at "+where, m, root.CID, n.rule)
		}
	}
	refused(t, "a root that is a file", m, m.File([]uint64{1}, file).CID, "M23")
	refused(t, "a raw root", m, file.CID, "M23")
	refused(t, "a root that is a link", m, symlink.CID, "M23")
}

func TestOtherHashesAndCodecsAreRefused(t *testing.T) {
	for _, s := range []string{
		"bafkqabdlobzgs", // identity
		"bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",                                                    // dag-cbor
		"bagaaierasords4njcts6vs7qvdjfcvgnume4hqohf65zsfguprqphs3icwea",                                                  // dag-json
		"bafkr2qffyprvhimferhyfkg6af63marfiplxn6euhncxwy3izaefj3g73ilqlzo5kfgvbbyrnwwmw7nm4wwufkyxfp7htiwabn5b5hdw4rvvk", // sha2-512
		"bafkbwmrnxtkzzbkmvqdhvjq4iopq2qvyyi",                                                                            // murmur3
	} {
		c, err := cid.Decode(s)
		if err != nil {
			continue
		}
		m := treetest.New()
		refused(t, s, m, m.Dir(treetest.Named("x", dagpb.Link{CID: c})).CID, "M20")
		refused(t, s, m, m.Dir(treetest.Named("x", m.File([]uint64{1}, dagpb.Link{CID: c}))).CID, "M20")
		refused(t, s, m, c, "M20")
	}
}

func TestThreat40Modes(t *testing.T) {
	m := treetest.New()
	var links []dagpb.Link
	for mode := range uint64(4096) {
		f := &dagpb.FSNode{Type: dagpb.TypeFile, HasFileSize: true, FileSize: 1, Data: []byte("x"), HasData: true, Mode: mode}
		links = append(links, treetest.Named(fmt.Sprintf("m%04o", mode), m.Node(f)))
	}
	root := m.Dir(links...)
	dir := t.TempDir()
	if _, err := extract.Extract(t.Context(), m, records.Unbounded(root.CID), treetest.OpenRoot(t, dir), "x", extract.Options{}); err != nil {
		t.Fatal(err)
	}
	for mode := range 4096 {
		info, err := os.Lstat(filepath.Join(dir, "x", fmt.Sprintf("m%04o", mode)))
		if err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o644)
		if mode&0o100 != 0 {
			want = 0o755
		}
		if info.Mode() != want {
			t.Fatalf("mode %04o became %v", mode, info.Mode())
		}
	}
}

func TestFilesOfMoreThan1024ChunksAreBalancedLikeBoxo(t *testing.T) {
	for _, n := range []int{1024, 1025, 2048} {
		store := treetest.New()
		var links []dagpb.Link
		for i := range n {
			links = append(links, dagpb.Link{CID: dagpb.CID(cid.Raw, []byte{byte(i)}), Tsize: 1 << 20})
		}
		root, bytes, err := unixfs.StoreChunks(t.Context(), store, links)
		if err != nil {
			t.Fatal(err)
		}
		node, _ := dagpb.DecodeNode(store.Blocks[root])
		if want := map[int]int{1024: 1024, 1025: 2, 2048: 2}[n]; len(node.Links) != want || bytes != int64(n)<<20 {
			t.Errorf("%d chunks: root has %d links and %d bytes", n, len(node.Links), bytes)
		}
	}
}
