package unixfs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

var updateTrees = flag.Bool("update", false, "write the vectors that the generators make")

const treeVectorDir = "../../testdata/modules"

var treeVectorKinds = []string{"tree-"}

func TestTreeVectors(t *testing.T) {
	vectors.Run(t, treeVectorDir, treeVectorKinds, os.Getenv("ES_VECTORS") == "outcome", runTree, treetest.RuleOf)
}

func TestTreesGenerated(t *testing.T) {
	vectors.Generated(t, *updateTrees, treeVectorDir, treeVectorKinds, slices.Concat(treeVectors(), treeFormVectors(), checkVectors(), hamtVectors(), blockVectors(), releaseVectors()), runTree, treetest.RuleOf)
}

// runTree reads a tree of which the blocks are given.
func runTree(t *testing.T, v *vectors.Vector) error {
	store := treetest.New()
	for line := range strings.Lines(v.File("blocks")) {
		name, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(data)
		if zeros, ok := strings.CutPrefix(data, "0*"); ok {
			var n int
			n, err = strconv.Atoi(zeros)
			b = make([]byte, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		store.Blocks[cid.MustParse(name)] = b
	}
	bounds := records.Target{Size: -1, Files: -1}
	for line := range strings.Lines(v.File("want")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "root":
			bounds.CID, err = cid.Decode(value)
		case "size":
			_, err = fmt.Sscan(value, &bounds.Size)
		case "files":
			_, err = fmt.Sscan(value, &bounds.Files)
		default:
			err = fmt.Errorf("unknown line %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := unixfs.Inspect(t.Context(), store, bounds)
	if errors.As(err, new(*unixfs.CorruptError)) {
		return &unixfs.RuleError{Rule: "M20", Reason: err.Error()} // the CID is not that of the block
	}
	if err != nil {
		return err
	}
	if v.Has("release.json") {
		return modules.Check(t.Context(), store, tree, releaseOfVector(t, v, bounds))
	}
	var got strings.Builder
	for _, f := range tree.Files {
		mode := "0644"
		if f.Exec {
			mode = "0755"
		}
		fmt.Fprintf(&got, "%s %d %s\n", mode, f.Size, f.Path)
	}
	if *updateTrees {
		v.Set("tree", got.String())
	} else if got.String() != v.File("tree") {
		t.Errorf("the tree is\n%swant\n%s", got.String(), v.File("tree"))
	}
	return nil
}

// treeVector makes a vector of the blocks of m.
func treeVector(name, expect, spec, comment string, build func(m *treetest.Store) dagpb.Link) *vectors.Vector {
	m := treetest.New()
	root := build(m)
	v := &vectors.Vector{Name: "tree-" + name, Expect: expect, Spec: spec, Comment: comment}
	v.Set("want", fmt.Sprintf("root %s\n", root.CID))
	v.Set("blocks", treetest.BlockLines(m))
	return v
}

// bounded adds what a release says of a tree.
func bounded(v *vectors.Vector, size, files int) *vectors.Vector {
	v.Files[0].Data = fmt.Appendf(v.Files[0].Data, "size %d\nfiles %d\n", size, files)
	return v
}

func treeVectors() []*vectors.Vector {
	one := func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("x", m.Raw([]byte("x")))) }
	hamt := func(fanout uint64, bitmap []byte, links ...dagpb.Link) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			for i := range links {
				l := m.Raw([]byte("x"))
				l.Name = links[i].Name
				links[i] = l
			}
			return m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: bitmap, HasData: true, HashType: dagpb.HashMurmur3, Fanout: fanout}, links...)
		}
	}
	file := func(f dagpb.FSNode, leaves ...string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			var links []dagpb.Link
			for _, l := range leaves {
				links = append(links, m.Raw([]byte(l)))
			}
			return m.Dir(treetest.Named("x", m.Node(&f, links...)))
		}
	}
	other := func(s string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", dagpb.Link{CID: cid.MustParse(s)}))
		}
	}
	return []*vectors.Vector{
		treeVector("v0", "ok", "M20 M23", "a tree as `ipfs add -r` made it for years: CIDv0, contents in dag-pb", func(m *treetest.Store) dagpb.Link {
			v0 := func(l dagpb.Link) dagpb.Link {
				c := cid.NewCidV0(l.CID.Hash())
				m.Blocks[c] = m.Blocks[l.CID]
				delete(m.Blocks, l.CID)
				l.CID = c
				return l
			}
			small := v0(m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, Data: []byte("small\n"), HasData: true, FileSize: 6, HasFileSize: true}))
			leaf := v0(m.Node(&dagpb.FSNode{Type: dagpb.TypeRaw, Data: []byte("12345"), HasData: true, FileSize: 5, HasFileSize: true}))
			return v0(m.Dir(treetest.Named("big", v0(m.File([]uint64{5, 5}, leaf, leaf))), treetest.Named("d", v0(m.Dir(treetest.Named("small", small))))))
		}),
		treeVector("data-first", "ok", "M23", "a block with its data before its links", func(m *treetest.Store) dagpb.Link {
			l := treetest.Named("x", m.Raw([]byte("x")))
			links := (&dagpb.Node{Links: []dagpb.Link{l}}).Encode()
			b := append([]byte("\x0a\x02\x08\x01"), links[:len(links)-2]...)
			return m.Block(cid.DagProtobuf, b)
		}),
		treeVector("modes", "ok", "M31", "whoever may execute decides; other bits do not", func(m *treetest.Store) dagpb.Link {
			f := func(name string, mode uint64) dagpb.Link {
				return treetest.Named(name, m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, HasFileSize: true, Mode: mode}))
			}
			return m.Dir(f("0000", 0), f("0011", 0o011), f("0100", 0o100), f("0644", 0o644), f("0755", 0o755), f("4755", 0o4755), f("6644", 0o6644))
		}),
		treeVector("empty-raw", "ok", "M30", "the empty raw block is present though nobody can send it", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("a", dagpb.Link{CID: unixfs.EmptyRaw}))
		}),
		treeVector("empty-directory", "ok", "M7", "a directory without files is not made", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("a", m.Dir()), treetest.Named("b", m.Raw([]byte("b"))))
		}),
		treeVector("hamt", "ok", "M29", "a HAMT of two entries", func(m *treetest.Store) dagpb.Link {
			return hamtOf(m, treetest.Named("a", m.Raw([]byte("a"))), treetest.Named("b", m.Raw([]byte("b"))))
		}),
		bounded(treeVector("bounds", "ok", "M26", "the size and number of files that its release states", one), 1, 1),
		bounded(treeVector("size-above", "refused", "M26", "a byte more than its release states", one), 0, 1),
		bounded(treeVector("size-below", "refused", "M26", "a byte less than its release states", one), 2, 1),
		bounded(treeVector("files-above", "refused", "M26", "a file more than its release states", one), 1, 0),
		bounded(treeVector("files-below", "refused", "M26", "a file less than its release states", one), 1, 2),
		treeVector("codec", "refused", "M20", "a link to a dag-cbor block", other("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")),
		treeVector("identity", "refused", "M20", "a link by the identity hash", other("bafkqabdlobzgs")),
		treeVector("chain", "refused", "M22", "a file of 40 blocks below one another", func(m *treetest.Store) dagpb.Link {
			f := m.Raw([]byte("x"))
			for range 40 {
				f = m.File([]uint64{1}, f)
			}
			return m.Dir(treetest.Named("x", f))
		}),
		treeVector("symlink", "refused", "M12", "a symbolic link", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", m.Node(&dagpb.FSNode{Type: dagpb.TypeSymlink, Data: []byte("/etc/passwd"), HasData: true})))
		}),
		treeVector("name-parent", "refused", "M10", "an entry named ..", func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("..", m.Raw([]byte("x")))) }),
		treeVector("name-slash", "refused", "M10", "an entry with a slash in its name", func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("a/../../x", m.Raw([]byte("x")))) }),
		treeVector("name-empty", "refused", "M10", "an entry without a name", func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("", m.Raw([]byte("x")))) }),
		treeVector("name-twice", "refused", "M11", "one name twice", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", m.Raw([]byte("x"))), treetest.Named("x", m.Raw([]byte("y"))))
		}),
		treeVector("collision", "refused", "M11", "names that differ in case alone", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("X", m.Raw([]byte("x"))), treetest.Named("x", m.Raw([]byte("y"))))
		}),
		treeVector("root-file", "refused", "M23", "a root that is a file", func(m *treetest.Store) dagpb.Link { return m.File([]uint64{1}, m.Raw([]byte("x"))) }),
		treeVector("root-raw", "refused", "M23", "a root that is a raw block", func(m *treetest.Store) dagpb.Link { return m.Raw([]byte("x")) }),
		treeVector("metadata", "refused", "M23", "an entry of the UnixFS type metadata", file(dagpb.FSNode{Type: dagpb.TypeMetadata})),
		treeVector("sizes-missing", "refused", "M23", "a file with more links than sizes", file(dagpb.FSNode{Type: dagpb.TypeFile, BlockSizes: []uint64{1}}, "x", "y")),
		treeVector("sizes-wrong", "refused", "M23", "a file whose size is not the sum of its parts", file(dagpb.FSNode{Type: dagpb.TypeFile, BlockSizes: []uint64{1}, HasFileSize: true, FileSize: 2}, "x")),
		treeVector("not-protobuf", "refused", "M23", "a dag-pb block that is none", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", m.Block(cid.DagProtobuf, []byte{0x0a, 0x05, 0x08})))
		}),
		treeVector("chunks", "refused", "M28", "a file of 20 chunks of a byte", func(m *treetest.Store) dagpb.Link {
			links, sizes := make([]dagpb.Link, 20), make([]uint64, 20)
			for i := range links {
				links[i], sizes[i] = m.Raw([]byte("x")), 1
			}
			return m.Dir(treetest.Named("x", m.File(sizes, links...)))
		}),
		treeVector("hamt-place", "refused", "M29", "a HAMT entry that does not stand where its hash puts it", hamt(256, []byte{1}, treetest.Named("00a", dagpb.Link{}))),
		treeVector("hamt-bitmap", "refused", "M29", "a HAMT whose bitmap announces more than it has", hamt(256, []byte{3}, treetest.Named("00a", dagpb.Link{}))),
		treeVector("hamt-width", "refused", "M29", "a HAMT that is 512 wide", hamt(512, nil)),
		treeVector("hamt-empty-node", "refused", "M29", "a HAMT with an empty node below its root", func(m *treetest.Store) dagpb.Link {
			empty := m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: 256})
			return m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: []byte{1}, HasData: true, HashType: dagpb.HashMurmur3, Fanout: 256}, treetest.Named("00", empty))
		}),
	}
}

// releaseOfVector is what release.json says of the tree.
func releaseOfVector(t *testing.T, v *vectors.Vector, b records.Target) *records.Release {
	t.Helper()
	builder := basicnode.Prototype.Any.NewBuilder()
	fields := fmt.Sprintf(`"files": %d, "module": {"/": %q}, "size": %d`, b.Files, b.CID.String(), b.Size)
	for line := range strings.Lines(v.File("release.json")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields += fmt.Sprintf(", %q: %s", key, value)
	}
	author := base64.RawStdEncoding.EncodeToString(treetest.SomeAuthor(t).Bytes())
	record := fmt.Sprintf(`{"author": {"/": {"bytes": %q}}, "body": {"release": {%s}}, "es": 1, "prev": [], "seq": 0, "time": 1}`, author, fields)
	if err := dagjson.Decode(builder, strings.NewReader(record)); err != nil {
		t.Fatalf("%v in %s", err, record)
	}
	var b2 bytes.Buffer
	if err := dagcbor.Encode(builder.Build(), &b2); err != nil {
		t.Fatal(err)
	}
	r, err := records.Decode(b2.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return r.Body.(*records.Release)
}
