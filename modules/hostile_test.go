package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// refused extracts root without a signed size and wants it refused by rule, in
// under a second, with nothing left and nothing outside touched.
func refused(t *testing.T, name string, blocks Blocks, c cid.Cid, rules ...string) {
	t.Helper()
	outside := t.TempDir()
	dir := filepath.Join(outside, "node_modules")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, outside)
	root := openRoot(t, dir)
	if tree, err := Inspect(t.Context(), blocks, records.Unbounded(c)); err == nil {
		t.Errorf("%s: has been inspected: %d files, %d bytes", name, len(tree.Files), tree.Size)
	}
	start := cpuTime()
	_, err := Extract(t.Context(), blocks, records.Unbounded(c), root, "x", Options{})
	if took := cpuTime() - start; took > time.Second {
		t.Errorf("%s: took %v", name, took)
	}
	rule := ruleOf(err)
	if rule == "" || !strings.Contains(" "+strings.Join(rules, " ")+" ", " "+rule+" ") {
		t.Errorf("%s: got %v [%s], want rule %v", name, err, rule, rules)
	}
	if after := snapshot(t, outside); after != before {
		t.Errorf("%s: left behind:\n%s", name, after)
	}
}

// TestThreat36Bombs shows SPEC M21, M22 and M25.
func TestThreat36Bombs(t *testing.T) {
	bombs := map[string]func(m *memory) (pbLink, []string){
		"a file of 7 blocks and 6.9e18 bytes": func(m *memory) (pbLink, []string) {
			part, size := m.raw(make([]byte, 1<<18)), uint64(1<<18)
			for range 7 {
				links, sizes := make([]pbLink, 83), make([]uint64, 83)
				for i := range links {
					links[i], sizes[i] = part, size
				}
				part = m.file(sizes, links...)
				size *= 83
			}
			return m.dir(named("x", part)), []string{"M26"}
		},
		"a file whose size overflows": func(m *memory) (pbLink, []string) {
			part, size := m.raw(make([]byte, 1<<20)), uint64(1<<20)
			for range 24 {
				part = m.file([]uint64{size, size, size, size}, part, part, part, part)
				size *= 4
			}
			return m.dir(named("x", part)), []string{"M26"}
		},
		"directories that multiply": func(m *memory) (pbLink, []string) {
			d := m.dir(named("f", m.raw(make([]byte, 1024))))
			for range 9 {
				links := make([]pbLink, 100)
				for i := range links {
					links[i] = named(fmt.Sprintf("d%02d", i), d)
				}
				d = m.dir(links...)
			}
			return d, []string{"M25", "M26", "M22", "M27"}
		},
		"empty directories that multiply": func(m *memory) (pbLink, []string) {
			d := m.dir()
			for range 9 {
				links := make([]pbLink, 256)
				for i := range links {
					links[i] = named(fmt.Sprintf("d%03d", i), d)
				}
				d = m.dir(links...)
			}
			return d, []string{"M25", "M22"}
		},
		"one file linked 50,000 times": func(m *memory) (pbLink, []string) {
			f := m.raw(make([]byte, 40_000))
			links := make([]pbLink, 40_000)
			for i := range links {
				links[i] = named(fmt.Sprintf("f%05d", i), f)
			}
			return m.dir(links...), []string{"M27"}
		},
		"a HAMT of itself": func(m *memory) (pbLink, []string) {
			shard := m.node(fullShard(), shardLinks(func(i int) pbLink {
				return named(fmt.Sprintf("%02Xname%d", i, i), m.raw([]byte("x")))
			})...)
			for range 7 {
				shard = m.node(fullShard(), shardLinks(func(i int) pbLink {
					return named(fmt.Sprintf("%02X", i), shard)
				})...)
			}
			return shard, []string{"M29"}
		},
		"a HAMT without names": func(m *memory) (pbLink, []string) {
			shard := m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 256})
			for range 7 {
				shard = m.node(fullShard(), shardLinks(func(i int) pbLink {
					return named(fmt.Sprintf("%02X", i), shard)
				})...)
			}
			return shard, []string{"M29"}
		},
		"a chunk for each byte": func(m *memory) (pbLink, []string) {
			one := m.raw([]byte("x"))
			links, sizes := make([]pbLink, 40_000), make([]uint64, 40_000)
			for i := range links {
				links[i], sizes[i] = one, 1
			}
			return m.dir(named("x", m.file(sizes, links...))), []string{"M28"}
		},
		"a million chunks for each byte of a few": func(m *memory) (pbLink, []string) {
			empty := m.file(nil)
			links := make([]pbLink, 40_000)
			for i := range links {
				links[i] = empty
			}
			f := m.file(make([]uint64, 40_000), links...)
			links = make([]pbLink, 40_000)
			for i := range links {
				links[i] = f
			}
			return m.dir(named("x", m.file(make([]uint64, 40_000), links...))), []string{"M22"}
		},
		"5,000 levels of directories": func(m *memory) (pbLink, []string) {
			d := m.dir(named("f", m.raw([]byte("x"))))
			for range 5000 {
				d = m.dir(named("d", d))
			}
			return d, []string{"M24"}
		},
		"5,000 levels of a file": func(m *memory) (pbLink, []string) {
			f := m.raw([]byte("x"))
			for range 5000 {
				f = m.file([]uint64{1}, f)
			}
			return m.dir(named("f", f)), []string{"M22"}
		},
		"a block of more than 2 MiB": func(m *memory) (pbLink, []string) {
			return m.dir(named("f", m.raw(make([]byte, MaxBlock+1)))), []string{"M21"}
		},
	}
	for name, build := range bombs {
		m := newMemory()
		root, rules := build(m)
		refused(t, name, m, root.cid, rules...)
		refused(t, name+", sizes known", sized{m}, root.cid, rules...)
	}
}

func fullShard() *fsNode {
	bitmap := make([]byte, 32)
	for i := range bitmap {
		bitmap[i] = 0xFF
	}
	return &fsNode{kind: typeHAMT, data: bitmap, hasData: true, hashType: hashMurmur3, fanout: 256}
}

func shardLinks(link func(i int) pbLink) []pbLink {
	links := make([]pbLink, 256)
	for i := range links {
		links[i] = link(i)
	}
	return links
}

func TestATreeStopsAtTheFirstByteAndFileBeyondItsRelease(t *testing.T) {
	m, store := packFS(t, everything(1))
	for _, b := range []records.Target{
		{CID: m.CID, Size: m.Size - 1, Files: m.Files}, {CID: m.CID, Size: m.Size + 1, Files: m.Files},
		{CID: m.CID, Size: m.Size, Files: m.Files - 1}, {CID: m.CID, Size: m.Size, Files: m.Files + 1},
		{CID: m.CID, Size: 0, Files: m.Files}, {CID: m.CID, Size: m.Size, Files: 0},
	} {
		if _, err := Inspect(t.Context(), store, b); ruleOf(err) != "M26" {
			t.Errorf("bounds %d bytes and %d files for %d and %d: %v", b.Size, b.Files, m.Size, m.Files, err)
		}
	}
	if _, err := Inspect(t.Context(), store, records.Unbounded(m.CID)); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}

// TestSizesThatLieAreFoundWhileWriting has leaves that are not as large as their
// file says. Inspect believes it, unless it is told sizes.
func TestSizesThatLieAreFoundWhileWriting(t *testing.T) {
	for stated, actual := range map[uint64]int{10: 9, 9: 10, 1 << 20: 1, 1: 1 << 20} {
		m := newMemory()
		root := m.dir(named("x", m.file([]uint64{stated, 3}, m.raw(make([]byte, actual)), m.raw([]byte("end")))))
		dir := t.TempDir()
		_, err := Extract(t.Context(), m, records.Unbounded(root.cid), openRoot(t, dir), "x", Options{})
		if ruleOf(err) != "M23" {
			t.Errorf("%d bytes stated for %d: %v", stated, actual, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d bytes stated for %d: %v is left", stated, actual, left)
		}
		refused(t, "with sizes", sized{m}, root.cid, "M23")
	}
	// Sizes that are wrong one by one, and right together.
	m := newMemory()
	root := m.dir(named("x", m.file([]uint64{10, 3}, m.raw([]byte("123456789")), m.raw([]byte("1234")))))
	if _, err := Extract(t.Context(), m, records.Unbounded(root.cid), openRoot(t, t.TempDir()), "x", Options{}); ruleOf(err) != "M23" {
		t.Errorf("10 and 3 bytes stated for 9 and 4: %v", err)
	}
	leaf := m.raw([]byte("12345"))
	refused(t, "two sizes for one leaf", m, m.dir(named("x", m.file([]uint64{5}, leaf)), named("y", m.file([]uint64{6}, leaf))).cid, "M23")
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
		if err := checkPath(name); err == nil && !strings.Contains(name, "/") {
			t.Errorf("the name %q is taken", name)
		}
		m := newMemory()
		file := m.raw([]byte("x"))
		refused(t, fmt.Sprintf("file %q", name), m, m.dir(named("ok", file), named(name, file)).cid, "M10")
		refused(t, fmt.Sprintf("directory %q", name), m, m.dir(named(name, m.dir(named("ok", file)))).cid, "M10")
		refused(t, fmt.Sprintf("deep %q", name), m, m.dir(named("ok", m.dir(named(name, file)))).cid, "M10")
		if name != "" { // in a HAMT, no name means a node
			refused(t, fmt.Sprintf("HAMT %q", name), m, hamtOf(m, named(name, file)).cid, "M10")
		}
	}
}

// hamtOf makes a HAMT directory of entries, however few.
func hamtOf(m *memory, entries ...pbLink) pbLink {
	b := &builder{context.Background(), m}
	root, err := b.shard(hashLinks(entries), 0)
	if err != nil {
		panic(err)
	}
	return pbLink{cid: root.cid, tsize: root.tsize}
}

func TestOrdinaryNamesOfEveryScriptAreTaken(t *testing.T) {
	for _, name := range []string{
		"index.js", ".npmignore", ".eslintrc.json", "grüße.txt", "日本語.md", "файл", "e\u0301.js", "é.js", "a b", "-x", "~", "a~", "~1", "$x", "@scope",
		"#", "(a)", "[id].js", "{x}", "a+b", "a,b", "a;b", "a=b", "a&b", "a'b", "`", "^", "%", "!", "...x", "..x", "x..y", "con1", "console", "auxiliary.js", "null", "com10",
		"com", "lpt", "common.js", "node_modules", ".gitignore", ".github", "git", "👩\u200d💻.svg", "❤️.png", "क्\u200dष.txt", strings.Repeat("a", 255), "longfilename~1.txt",
	} {
		if reason := checkElement(name); reason != "" {
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
		_, err := Whole(fstest.MapFS{packageJSON: text(minimalPackage), p[0]: text("a"), p[1]: text("b")})
		if ruleOf(err) != "M11" || !strings.Contains(err.Error(), fmt.Sprintf("%q", p[0])) || !strings.Contains(err.Error(), fmt.Sprintf("%q", p[1])) {
			t.Errorf("publishing %q and %q: %v", p[0], p[1], err)
		}
		_, err = Whole(fstest.MapFS{packageJSON: text(minimalPackage), p[0] + "/x": text("a"), p[1] + "/y": text("b")})
		if ruleOf(err) != "M11" {
			t.Errorf("publishing directories %q and %q: %v", p[0], p[1], err)
		}
		m := newMemory()
		a, b := named(p[0], m.raw([]byte("a"))), named(p[1], m.dir(named("x", m.raw([]byte("b")))))
		refused(t, fmt.Sprintf("%q and %q", p[0], p[1]), m, m.dir(a, b).cid, "M11")
		refused(t, fmt.Sprintf("HAMT %q and %q", p[0], p[1]), m, hamtOf(m, a, b).cid, "M11")
	}
	if len(seen) < 200 {
		t.Errorf("only %d collision pairs", len(seen))
	}
	m := newMemory()
	file := m.raw([]byte("x"))
	refused(t, "one name twice", m, m.dir(named("x", file), named("x", file)).cid, "M11")
}

func TestThreat38Links(t *testing.T) {
	m := newMemory()
	file := m.raw([]byte("x"))
	symlink := m.node(&fsNode{kind: typeSymlink, data: []byte("/etc/passwd"), hasData: true})
	nodes := map[string]struct {
		link pbLink
		rule string
	}{
		"symbolic link":           {symlink, "M12"},
		"metadata":                {m.node(&fsNode{kind: typeMetadata}), "M23"},
		"unknown type":            {m.node(&fsNode{kind: 9}), "M23"},
		"link without size":       {m.node(&fsNode{kind: typeFile}, file), "M23"},
		"size without link":       {m.node(&fsNode{kind: typeFile, blockSizes: []uint64{1}}), "M23"},
		"wrong file size":         {m.node(&fsNode{kind: typeFile, hasSize: true, fileSize: 2, blockSizes: []uint64{1}}, file), "M23"},
		"directory in a file":     {m.file([]uint64{0}, m.dir()), "M23"},
		"symbolic link in a file": {m.file([]uint64{11}, symlink), "M23"},
		"not protobuf":            {m.block(cid.DagProtobuf, []byte{0xff}), "M23"},
		"no UnixFS":               {m.block(cid.DagProtobuf, nil), "M23"},
		"a HAMT of another hash":  {m.node(&fsNode{kind: typeHAMT, hashType: 0x12, fanout: 256}), "M29"},
		"a HAMT too wide":         {m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 512}), "M29"},
		"a HAMT of an odd width":  {m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 24}), "M29"},
		"a HAMT with more bits than links": {m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 256, data: []byte{3}, hasData: true},
			named("00x", file)), "M29"},
		"a HAMT with a name out of place": {m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 256, data: []byte{1}, hasData: true},
			named("00x", file)), "M29"},
	}
	for name, n := range nodes {
		for where, root := range map[string]pbLink{
			"top": m.dir(named("ok", file), named("x", n.link)), "deep": m.dir(named("d", m.dir(named("x", n.link)))), "hamt": hamtOf(m, named("x", n.link)),
		} {
			refused(t, name+" at "+where, m, root.cid, n.rule)
		}
	}
	refused(t, "a root that is a file", m, m.file([]uint64{1}, file).cid, "M23")
	refused(t, "a raw root", m, file.cid, "M23")
	refused(t, "a root that is a link", m, symlink.cid, "M23")
}

func (m *memory) block(codec uint64, b []byte) pbLink {
	c := blockCID(codec, b)
	m.blocks[c] = b
	return pbLink{cid: c, tsize: uint64(len(b))}
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
		m := newMemory()
		refused(t, s, m, m.dir(named("x", pbLink{cid: c})).cid, "M20")
		refused(t, s, m, m.dir(named("x", m.file([]uint64{1}, pbLink{cid: c}))).cid, "M20")
		refused(t, s, m, c, "M20")
	}
}

func TestThreat40Modes(t *testing.T) {
	m := newMemory()
	var links []pbLink
	for mode := range uint64(4096) {
		f := &fsNode{kind: typeFile, hasSize: true, fileSize: 1, data: []byte("x"), hasData: true, mode: mode}
		links = append(links, named(fmt.Sprintf("m%04o", mode), m.node(f)))
	}
	root := m.dir(links...)
	dir := t.TempDir()
	if _, err := Extract(t.Context(), m, records.Unbounded(root.cid), openRoot(t, dir), "x", Options{}); err != nil {
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

// TestAModuleMustBeWhatItsReleaseSays shows SPEC M50.
func TestAModuleMustBeWhatItsReleaseSays(t *testing.T) {
	m, store := packFS(t, everything(1))
	tree, err := Inspect(t.Context(), store, records.Unbounded(m.CID))
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(r *records.Release){
		"name":         func(r *records.Release) { r.Name = "other" },
		"version":      func(r *records.Release) { r.Version = "1.2.3" },
		"size":         func(r *records.Release) { r.Size++ },
		"files":        func(r *records.Release) { r.Files-- },
		"module":       func(r *records.Release) { r.Module = tree.Files[0].CID },
		"pins":         func(r *records.Release) { r.Pins = map[records.Name]cid.Cid{"x": m.CID} },
		"description":  func(r *records.Release) { r.Manifest.Description = "x" },
		"bin":          func(r *records.Release) { r.Manifest.Bin = map[string]string{"tool": "big"} },
		"dependencies": func(r *records.Release) { r.Manifest.Dependencies = map[string]string{"x": "*"} },
		"bundled":      func(r *records.Release) { r.Manifest.Bundled = []string{"x"} },
		"scripts":      func(r *records.Release) { r.Manifest.Scripts = true },
	}
	for what, change := range changes {
		r := releaseOf(m)
		change(r)
		if err := Check(t.Context(), store, tree, r); ruleOf(err) != "M50" {
			t.Errorf("another %s: %v", what, err)
		}
	}
	r := releaseOf(m)
	r.Manifest.OS, r.Manifest.Engines, r.Pins = []string{}, map[string]string{}, map[records.Name]cid.Cid{}
	if err := Check(t.Context(), store, tree, r); err != nil {
		t.Errorf("empty instead of nothing: %v", err)
	}
	if err := Check(t.Context(), newMemory(), tree, releaseOf(m)); err == nil || errors.As(err, new(*RuleError)) {
		t.Errorf("without blocks: %v", err)
	}
}

// TestThreat62Patterns: no pattern of a checkout keeps es busy. What a pattern may
// cost is counted, so that the same packages are refused on every machine.
func TestThreat62Patterns(t *testing.T) {
	braces := strings.Repeat("{a,b}", 8)
	bombs := map[string]string{
		"expansions":       strings.Repeat(braces, 4),
		"an ambiguous one": strings.Repeat("*(a|aa)", 3) + "c",
		"negations":        strings.Repeat("!(a)", 40),
		"a long one":       strings.Repeat("a", 5000),
		"open brackets":    strings.Repeat("[", 60000),
		"open braces":      "{" + strings.Repeat("{},", 20000) + "}",
		"open groups":      strings.Repeat("+(", 30000),
		"many":             strings.Repeat(strings.Repeat("{a,b}", 12)+"\n", 3000),
		"sequences":        strings.Repeat(strings.Repeat("{1..100000}", 300)+"\n", 100),
	}
	for name, pattern := range bombs {
		dir := t.TempDir()
		write := func(path, text string) {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(packageJSON, minimalPackage)
		write(strings.Repeat("a", 40), "")
		write(".npmignore", pattern)
		start := cpuTime()
		_, err := Scan(dir)
		if name == "expansions" {
			// The list ends at 100,000, as npm's does, and none of those matches.
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if ruleOf(err) != "M9" {
			t.Errorf("%s: %v, want a refusal by M9", name, err)
		}
		t.Logf("%s: %v of processor time", name, cpuTime()-start)
	}
	// A large package with ordinary patterns is far below the bound.
	work := globWork{left: maxGlobWork}
	var rules []*globRule
	for _, p := range append(append([]string{"*.log", "**/test/**", "coverage", "!(dist|lib)/**/*.[jt]s?(x)", "docs/**/*.{md,html}"}, packDefaults...), packStrict...) {
		rules = append(rules, newGlobRule(p, &work))
	}
	for i := range 2000 {
		work.left += globWorkPerEntry
		for _, r := range rules {
			r.matchEntry(fmt.Sprintf("src/component-%d/deeply/nested/module-name.test.tsx", i), true, "module-name.test.tsx")
		}
	}
	if work.over || work.left < maxGlobWork {
		t.Errorf("%d entries of an ordinary package cost more than they may: %d left of %d", 2000, work.left, maxGlobWork)
	}
}
