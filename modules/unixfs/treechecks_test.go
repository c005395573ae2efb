package unixfs_test

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/spaolacci/murmur3"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
)

const dagCBOR = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

// slots returns a bitmap for a HAMT that is 256 wide.
func slots(all ...int) []byte {
	b := make([]byte, 32)
	for _, s := range all {
		b[31-s/8] |= 1 << (s % 8)
	}
	return b
}

// namedFor returns a name whose hash begins with the slot.
func namedFor(slot int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("n%d", i); murmur3.Sum64([]byte(name))>>56 == uint64(slot) {
			return name
		}
	}
}

// hamtVectors each break one rule of a HAMT.
func hamtVectors() []*vectors.Vector {
	shard := func(m *treetest.Store, bitmap []byte, links ...dagpb.Link) dagpb.Link {
		return m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: bitmap, HasData: true, HashType: dagpb.HashMurmur3, Fanout: 256}, links...)
	}
	// of makes a HAMT of links to one file.
	of := func(bitmap []byte, names ...string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			var links []dagpb.Link
			for _, name := range names {
				links = append(links, treetest.Named(name, m.Raw([]byte("x"))))
			}
			return shard(m, bitmap, links...)
		}
	}
	at := func(slot int) string { return fmt.Sprintf("%02X", slot) + namedFor(slot) }
	// below makes a HAMT whose one entry, the file a, is in a node below the root.
	hash := murmur3.Sum64([]byte("a"))
	first, second := int(hash>>56), int(hash>>48&255)
	below := func(change func(f *dagpb.FSNode), encoded func([]byte)) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			f := &dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: slots(second), HasData: true, HashType: dagpb.HashMurmur3, Fanout: 256}
			change(f)
			n := dagpb.Node{Links: []dagpb.Link{treetest.Named(fmt.Sprintf("%02Xa", second), m.Raw([]byte("x")))}, Data: f.Encode(), HasData: true}
			encoded(n.Data)
			return shard(m, slots(first), treetest.Named(fmt.Sprintf("%02X", first), m.Block(cid.DagProtobuf, n.Encode())))
		}
	}
	same := func([]byte) {}
	empty := func(fanout uint64) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			d := m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, HashType: dagpb.HashMurmur3, Fanout: fanout})
			return m.Dir(treetest.Named("d", d), treetest.Named("x", m.Raw([]byte("x"))))
		}
	}
	dots := int(murmur3.Sum64([]byte("..")) >> 56)
	return []*vectors.Vector{
		treeVector("hamt-slot-short", "refused", "M29", "a HAMT with a link of one digit", of(slots(0), "0")),
		treeVector("hamt-slot-digits", "refused", "M29", "a HAMT with a link whose place is no number", of(slots(0), "ZZ"+namedFor(0))),
		treeVector("hamt-slot-lower", "refused", "M29", "a HAMT with a link whose place is in lower case", of(slots(0xab), "ab"+namedFor(0xab))),
		treeVector("hamt-order", "refused", "M29", "a HAMT whose links are not in order", of(slots(1, 2), at(2), at(1))),
		treeVector("hamt-bitmap-other", "refused", "M29", "a HAMT whose bitmap announces another place", of(slots(2), at(1))),
		treeVector("hamt-bitmap-more", "refused", "M29", "a HAMT whose bitmap announces two places, and one entry", of(slots(1, 2), at(1))),
		treeVector("hamt-bitmap-long", "refused", "M29", "a HAMT with a bitmap of 33 bytes, the first of them zero", of(append([]byte{0}, slots(1)...), at(1))),
		treeVector("hamt-name", "refused", "M10", "a HAMT with an entry named ..", of(slots(dots), fmt.Sprintf("%02X..", dots))),
		treeVector("hamt-hash", "refused", "M29", "a HAMT by another hash", func(m *treetest.Store) dagpb.Link {
			return m.Node(&dagpb.FSNode{Type: dagpb.TypeHAMTShard, Data: slots(1), HasData: true, HashType: multihash.SHA2_256, Fanout: 256}, treetest.Named(at(1), m.Raw([]byte("x"))))
		}),
		treeVector("hamt-narrow", "refused", "M29", "a HAMT that is 4 wide", empty(4)),
		treeVector("hamt-twelve", "refused", "M29", "a HAMT that is 12 wide", empty(12)),
		treeVector("hamt-below", "ok", "M29", "a HAMT with an entry in a node below its root", below(func(*dagpb.FSNode) {}, same)),
		treeVector("hamt-fanouts", "refused", "M29", "a HAMT with a node that is to be 16 wide", below(func(f *dagpb.FSNode) { f.Fanout = 16 }, same)),
		treeVector("hamt-type", "refused", "M29", "a HAMT with a node of the type of a plain directory", below(func(*dagpb.FSNode) {}, func(b []byte) { b[1] = dagpb.TypeDirectory })),
		treeVector("hamt-codec", "refused", "M20", "a HAMT with a node that is a dag-cbor block", func(m *treetest.Store) dagpb.Link {
			return shard(m, slots(0), treetest.Named("00", dagpb.Link{CID: cid.MustParse(dagCBOR)}))
		}),
		treeVector("hamt-node-field", "refused", "M23", "a HAMT with a node that has a field 3", func(m *treetest.Store) dagpb.Link {
			return shard(m, slots(0), treetest.Named("00", m.Block(cid.DagProtobuf, []byte("\x18\x01"))))
		}),
		treeVector("hamt-deep", "refused", "M29", "a HAMT that is deeper than its hash is long", func(m *treetest.Store) dagpb.Link {
			l := shard(m, slots(0), treetest.Named("00x", m.Raw([]byte("x"))))
			for range 8 {
				l = shard(m, slots(0), treetest.Named("00", l))
			}
			return l
		}),
	}
}

// blockVectors each break one rule about blocks and files.
func blockVectors() []*vectors.Vector {
	root := func(encoded string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link { return m.Block(cid.DagProtobuf, []byte(encoded)) }
	}
	directory := "\x0a\x02\x08\x01"
	hash := string(pbField(nil, pbLinkHash, dagpb.CID(cid.Raw, []byte("x")).KeyString()))
	name := string(pbField(nil, pbLinkName, "x"))
	// file makes a tree of one file with these UnixFS data.
	file := func(data string, leaves ...string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			n := &dagpb.Node{Data: []byte(data), HasData: true}
			for _, l := range leaves {
				n.Links = append(n.Links, m.Raw([]byte(l)))
			}
			return m.Dir(treetest.Named("x", m.Block(cid.DagProtobuf, n.Encode())))
		}
	}
	// parts makes a tree of one file that states sizes, and no filesize.
	parts := func(sizes []uint64, links func(m *treetest.Store) []dagpb.Link) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, BlockSizes: sizes}, links(m)...)))
		}
	}
	x := func(m *treetest.Store) []dagpb.Link { return []dagpb.Link{m.Raw([]byte("x"))} }
	to := func(link func(m *treetest.Store) dagpb.Link) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("x", link(m))) }
	}
	hashed := func(code uint64, size int) func(m *treetest.Store) dagpb.Link {
		return to(func(*treetest.Store) dagpb.Link {
			mh, err := multihash.Encode(make([]byte, size), code)
			if err != nil {
				panic(err)
			}
			return dagpb.Link{CID: cid.NewCidV1(cid.Raw, mh)}
		})
	}
	repeated := func(leaf []byte, times int) func(m *treetest.Store) dagpb.Link {
		sizes := make([]uint64, times)
		return parts(sizes, func(m *treetest.Store) (links []dagpb.Link) {
			for i := range sizes {
				sizes[i], links = uint64(len(leaf)), append(links, m.Raw(leaf))
			}
			return links
		})
	}
	deep := func(names ...string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			l := m.Raw([]byte("x"))
			for i := len(names) - 1; i >= 0; i-- {
				l = m.Dir(treetest.Named(names[i], l))
			}
			return l
		}
	}
	long, elements := strings.Repeat("n", 255), strings.Split(strings.Repeat("d", 65), "")
	return []*vectors.Vector{
		treeVector("link-hash-none", "refused", "M23", "a link without a CID", root(string(pbField(nil, pbNodeLinks, name))+directory)),
		treeVector("link-field", "refused", "M23", "a link with a field 4", root(string(pbField(nil, pbNodeLinks, hash+name+"\x20\x01"))+directory)),
		treeVector("sizes-number", "refused", "M23", "blocksizes with a number of 11 bytes", file("\x08\x02\x22\x0b"+strings.Repeat("\x80", 10)+"\x01", "")),
		treeVector("sizes-number-alone", "refused", "M23", "the same in a file without links", file("\x08\x02\x22\x0b"+strings.Repeat("\x80", 10)+"\x01")),
		treeVector("unixfs-cut", "refused", "M23", "UnixFS data that end within the length of a field", file("\x08\x02\x12\x80")),
		treeVector("unixfs-fixed", "ok", "M23", "UnixFS fields of fixed width that are not known are passed over", file("\x4d\x00\x00\x00\x00\x08\x02\x51\x00\x00\x00\x00\x00\x00\x00\x00")),
		treeVector("unixfs-fixed-cut", "refused", "M23", "UnixFS data that end within a field of fixed width", file("\x08\x02\x4d\x00")),
		treeVector("unixfs-wire", "refused", "M23", "a mode that is bytes and no number", file("\x08\x02\x3a\x01\x00")),

		treeVector("root-codec", "refused", "M20", "a root that is a dag-cbor block", func(*treetest.Store) dagpb.Link { return dagpb.Link{CID: cid.MustParse(dagCBOR)} }),
		treeVector("root-raw-directory", "refused", "M23", "a root that is a raw block, with the bytes of a directory", func(m *treetest.Store) dagpb.Link {
			x := treetest.Named("x", m.Raw([]byte("x")))
			return m.Block(cid.Raw, (&dagpb.Node{Links: []dagpb.Link{x}, Data: []byte("\x08\x01"), HasData: true}).Encode())
		}),
		treeVector("hash-other", "refused", "M20", "a link by SHA3-256", hashed(multihash.SHA3_256, 32)),
		treeVector("hash-short", "refused", "M20", "a link by 20 bytes of SHA2-256", hashed(multihash.SHA2_256, 20)),
		treeVector("block-other", "refused", "M20", "a block whose bytes do not have the hash of its CID", func(m *treetest.Store) dagpb.Link {
			l := m.Dir(treetest.Named("x", m.Raw([]byte("x"))))
			m.Blocks[l.CID] = m.Blocks[m.Dir(treetest.Named("y", m.Raw([]byte("x")))).CID]
			return l
		}),
		treeVector("block-other-raw", "refused", "M20", "a raw block whose bytes do not have the hash of its CID", func(m *treetest.Store) dagpb.Link {
			x := m.Raw([]byte("x"))
			m.Blocks[x.CID] = []byte("y")
			return m.Dir(treetest.Named("x", x))
		}),

		treeVector("file-codec", "refused", "M20", "a file with a part that is a dag-cbor block", parts([]uint64{1}, func(*treetest.Store) []dagpb.Link {
			return []dagpb.Link{{CID: cid.MustParse(dagCBOR)}}
		})),
		treeVector("file-part-field", "refused", "M23", "a file with a part that has a field 3", parts([]uint64{1}, func(m *treetest.Store) []dagpb.Link {
			return []dagpb.Link{m.Block(cid.DagProtobuf, []byte("\x18\x01"))}
		})),
		treeVector("sizes-of-node-alone", "refused", "M23", "a node without a filesize that links a node with a byte more than it has", parts([]uint64{2}, func(m *treetest.Store) []dagpb.Link {
			return []dagpb.Link{m.File([]uint64{1}, x(m)...)}
		})),
		treeVector("sizes-differ", "refused", "M23", "a raw block that is linked with one byte and with two", parts([]uint64{1, 2}, func(m *treetest.Store) []dagpb.Link { return append(x(m), x(m)...) })),
		treeVector("sizes-large", "refused", "M21", "a raw block that is linked with a byte more than 2 MiB", parts([]uint64{unixfs.MaxBlock + 1}, x)),
		treeVector("sizes-beyond", "refused", "M26", "a raw block that is linked with 2^63 bytes", parts([]uint64{1 << 63}, x)),
		treeVector("size-beyond", "refused", "M26", "a file of 2^63 bytes, by nodes that link the next one four times", to(func(m *treetest.Store) dagpb.Link {
			l, size := m.Raw(make([]byte, unixfs.MaxBlock)), uint64(unixfs.MaxBlock)
			for range 21 {
				l = m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, BlockSizes: []uint64{size, size, size, size}}, l, l, l, l)
				size *= 4
			}
			return l
		})),
		treeVector("expansion-most", "ok", "M27", "a file of 21 MiB in a block of one", repeated(make([]byte, 1<<20), 21)),
		treeVector("expansion", "refused", "M27", "a file of 22 MiB in a block of one", repeated(make([]byte, 1<<20), 22)),

		treeVector("path-longest", "ok", "M24", "a path of 1,024 bytes", deep(long, long, long, long[1:], "x")),
		treeVector("path-longer", "refused", "M24", "a path of 1,025 bytes", deep(long, long, long, long, "x")),
		treeVector("path-deepest", "ok", "M24", "a path of 64 elements", deep(elements[:64]...)),
		treeVector("path-deeper", "refused", "M24", "a path of 65 elements", deep(elements...)),
		treeVector("blocks-more", "refused", "M22", "500,001 blocks, nearly all of them often", func(m *treetest.Store) dagpb.Link {
			var chunks, files, links []dagpb.Link
			sizes := make([]uint64, 16)
			for i := range sizes {
				sizes[i], chunks = 1, append(chunks, m.Raw([]byte("x")))
			}
			file := m.File(sizes, chunks...) // 17 blocks
			for i := range 600 {
				files = append(files, treetest.Named(fmt.Sprintf("f%03d", i), file))
			}
			d := m.Dir(files...) // 10,201
			for i := range 49 {
				links = append(links, treetest.Named(fmt.Sprintf("d%02d", i), d))
			}
			for i := range 151 {
				links = append(links, treetest.Named(fmt.Sprintf("x%03d", i), chunks[0]))
			}
			return m.Dir(links...) // with this one 499,850 but for the last 151
		}),
		treeVector("names-not-short", "ok", "M10", "names with a tilde that Windows does not make up", func(m *treetest.Store) dagpb.Link {
			var links []dagpb.Link
			for _, name := range []string{"a~", "a~1.b.c", "a~1.text", "longer-name~1", "~1"} {
				links = append(links, treetest.Named(name, m.Raw([]byte("x"))))
			}
			return m.Dir(links...)
		}),
	}
}

// releaseVectors are trees that differ from a release in more than its manifest.
func releaseVectors() []*vectors.Vector {
	const pkg = `{"name":"p","version":"1.0.0"}`
	check := func(name, spec, comment, file, text, fields string) *vectors.Vector {
		v := treeVector("release-"+name, "refused", spec, comment, func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named(file, m.Raw([]byte(text))))
		})
		v.Set("release.json", fields+"\nmanifest {}\n")
		return bounded(v, len(text), 1)
	}
	const same = "name \"p\"\nversion \"1.0.0\""
	return []*vectors.Vector{
		check("name", "M50", "a release of another name", "package.json", pkg, "name \"q\"\nversion \"1.0.0\""),
		check("version", "M50", "a release of another version", "package.json", pkg, "name \"p\"\nversion \"1.0.1\""),
		check("pins", "M50", "a release with a pin that the module does not have", "package.json", pkg, same+"\npins {\"d\": {\"/\": \"bafybeigyd4tt2ufp62lootyj4ggjooz6ulh3nxa5o6y7fcqe4kp6fbzmrm\"}}"),
		check("not-json", "M40", "a module whose package.json is no JSON", "package.json", pkg+",", same),
		check("bin-out", "M47", "a module whose program leads out of it", "package.json", `{"name":"p","version":"1.0.0","bin":"../p"}`, same),
	}
}
