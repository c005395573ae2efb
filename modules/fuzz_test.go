package modules

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

func FuzzPackageJSON(f *testing.F) {
	f.Add([]byte(minimalPackage))
	for _, data := range hostilePackages() {
		if len(data) < 1000 {
			f.Add([]byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePackageJSON(data)
		if err != nil {
			if ruleOf(err) == "" {
				t.Fatalf("not a rule: %v", err)
			}
			return
		}
		m, err := p.Manifest([]string{packageJSON, "bin/x", "node_modules/a/b"})
		if err != nil {
			return
		}
		r := &records.Release{Name: p.Name, Version: p.Version, Module: emptyModule, Size: 1, Files: 1, Manifest: m, Pins: p.Pins}
		b, err := records.Encode(&records.Record{Author: someAuthor(t), Time: 1, Body: r})
		if err != nil {
			if strings.Contains(err.Error(), "bytes, the limit is") {
				return // the record as a whole may be too large
			}
			t.Fatalf("no record can hold the manifest: %v", err)
		}
		if _, err := records.Decode(b); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzUnixFSNode(f *testing.F) {
	m := newMemory()
	file := m.raw([]byte("x"))
	for _, l := range []pbLink{
		m.dir(named("x", file)), m.file([]uint64{1}, file), m.file(nil), hamtOf(m, named("x", file), named("y", file)),
		m.node(&fsNode{kind: typeSymlink, data: []byte("/"), hasData: true}), m.node(&fsNode{kind: typeFile, mode: 0o755}),
	} {
		f.Add(m.blocks[l.cid])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNode(data)
		if err == nil {
			again, err := decodeNode(n.encode())
			if err != nil || len(again.links) != len(n.links) || !bytes.Equal(again.data, n.data) {
				t.Fatalf("encoded again: %v", err)
			}
			if n.encodedSize() != len(n.encode()) {
				t.Fatal("encodedSize is wrong")
			}
		}
		store := newMemory()
		store.blocks[file.cid] = []byte("x")
		root := store.block(cid.DagProtobuf, data)
		tree, err := Inspect(t.Context(), store, records.Unbounded(root.cid))
		if err != nil {
			return
		}
		for _, e := range tree.Files {
			if err := checkPath(e.Path); err != nil {
				t.Fatal(err)
			}
			_, _ = tree.Read(t.Context(), store, e.Path, 1<<20)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, name := range hostileNames() {
		f.Add(name)
	}
	f.Add("\u13a0")
	f.Fuzz(func(t *testing.T, name string) {
		if checkElement(name) != "" {
			return
		}
		if strings.ContainsAny(name, "/\\:\x00") || name == "." || name == ".." || len(name) > MaxElement {
			t.Fatalf("%q is taken", name)
		}
		if fold(fold(name)) != fold(name) {
			t.Fatalf("folding %q twice gives %q and %q", name, fold(name), fold(fold(name)))
		}
		if fold(strings.ToUpper(name)) != fold(name) && fold(strings.ToLower(name)) != fold(name) {
			t.Fatalf("%q, and it in upper and in lower case, are three names", name)
		}
		root := openRoot(t, t.TempDir())
		w, err := root.Create(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		w.Close()
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("*.js", "a.js")
	f.Add("!(a|b)*(c)", "lib/x.js")
	f.Add("{a,b{c,d}}/[!x]?", "a/b")
	f.Add("**/+(a|@(b|!(c)))/**", "x/y/z")
	f.Add("[[:alpha:]-z]", "q")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(pattern) > 100 || len(path) > 100 {
			return
		}
		r := newGlobRule(pattern, &globWork{left: 1 << 20})
		r.matchEntry(path, false, "")
		r.matchEntry(path, true, "x")
	})
}
