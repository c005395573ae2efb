package unixfs_test

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
)

// Keys of the fields of a DAG-PB block and of its links.
const (
	pbNodeLinks = 0x12
	pbLinkHash  = 0x0a
	pbLinkName  = 0x12
)

// pbField appends a field of fewer than 128 bytes.
func pbField(b []byte, key byte, s string) []byte {
	return append(append(b, key, byte(len(s))), s...)
}

// treeFormVectors are about the forms that blocks of a tree may have.
func treeFormVectors() []*vectors.Vector {
	link := func(l dagpb.Link) string { return string((&dagpb.Node{Links: []dagpb.Link{l}}).Encode()) }
	// without cuts the empty data that encode ends with.
	without := func(l dagpb.Link) string { return strings.TrimSuffix(link(l), "\x0a\x00") }
	root := func(build func(m *treetest.Store, x dagpb.Link) string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			return m.Block(cid.DagProtobuf, []byte(build(m, treetest.Named("x", m.Raw([]byte("x"))))))
		}
	}
	directory := "\x0a\x02\x08\x01"
	file := func(data string, leaves ...string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			n := &dagpb.Node{Data: []byte(data), HasData: true}
			for _, l := range leaves {
				n.Links = append(n.Links, m.Raw([]byte(l)))
			}
			return m.Dir(treetest.Named("x", m.Block(cid.DagProtobuf, n.Encode())))
		}
	}
	chain := func(links int) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			f := m.Raw([]byte("x"))
			for range links {
				f = m.File([]uint64{1}, f)
			}
			return m.Dir(treetest.Named("x", f))
		}
	}
	chunks := func(count int, inline string) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			f := &dagpb.FSNode{Type: dagpb.TypeFile, Data: []byte(inline), HasData: inline != ""}
			var links []dagpb.Link
			for range count {
				links, f.BlockSizes = append(links, m.Raw([]byte("x"))), append(f.BlockSizes, 1)
			}
			return m.Dir(treetest.Named("x", m.Node(f, links...)))
		}
	}
	large := func(size int) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link { return m.Dir(treetest.Named("x", m.Raw(make([]byte, size)))) }
	}
	// directories makes 200 directories with 249 in each, and some more.
	directories := func(more int) func(m *treetest.Store) dagpb.Link {
		return func(m *treetest.Store) dagpb.Link {
			times := func(prefix string, count int, l dagpb.Link) []dagpb.Link {
				links := make([]dagpb.Link, count)
				for i := range links {
					links[i] = treetest.Named(fmt.Sprintf("%s%03d", prefix, i), l)
				}
				return links
			}
			empty := m.Dir()
			all := append(times("a", 200, m.Dir(times("", 249, empty)...)), times("b", more, empty)...)
			return m.Dir(append(all, treetest.Named("x", m.Raw([]byte("x"))))...)
		}
	}
	return []*vectors.Vector{
		treeVector("block-largest", "ok", "M21", "a block of 2 MiB", large(unixfs.MaxBlock)),
		treeVector("block-large", "refused", "M21", "a block of 2 MiB and a byte", large(unixfs.MaxBlock+1)),
		treeVector("chain-32", "ok", "M22", "32 links from a file's root to its leaf", chain(32)),
		treeVector("chain-33", "refused", "M22", "33 links from a file's root to its leaf", chain(33)),
		treeVector("chunks-most", "ok", "M28", "a file of 16 chunks of a byte", chunks(16, "")),
		treeVector("chunks-more", "refused", "M28", "a file of 17 chunks of a byte", chunks(17, "")),
		treeVector("chunks-inline", "refused", "M28", "a file of 16 chunks of a byte and inline data, which is a chunk too", chunks(16, "x")),

		treeVector("directories-most", "ok", "M25", "50,000 directories below the root, most of them linked often", directories(0)),
		treeVector("directories-more", "refused", "M25", "50,001 directories below the root", directories(1)),

		treeVector("data-none", "refused", "M23", "an entry whose block has no data, so no type", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("d", m.Block(cid.DagProtobuf, nil)))
		}),
		treeVector("data-twice", "refused", "M23", "a block with two data fields", root(func(m *treetest.Store, x dagpb.Link) string { return without(x) + directory + directory })),
		treeVector("links-apart", "refused", "M23", "links on both sides of the data", root(func(m *treetest.Store, x dagpb.Link) string {
			return without(x) + directory + without(treetest.Named("y", m.Raw([]byte("y"))))
		})),
		treeVector("node-field", "refused", "M23", "a block with a field 3", root(func(m *treetest.Store, x dagpb.Link) string { return without(x) + directory + "\x18\x01" })),
		treeVector("link-order", "refused", "M23", "a link with its name before its hash", root(func(m *treetest.Store, x dagpb.Link) string {
			hash := pbField(nil, pbLinkHash, x.CID.KeyString())
			return string(pbField(nil, pbNodeLinks, string(pbField(nil, pbLinkName, "x"))+string(hash))) + directory
		})),
		treeVector("link-field-twice", "refused", "M23", "a link with two names", root(func(m *treetest.Store, x dagpb.Link) string {
			l := pbField(nil, pbLinkHash, x.CID.KeyString())
			return string(pbField(nil, pbNodeLinks, string(pbField(pbField(l, pbLinkName, "x"), pbLinkName, "y")))) + directory
		})),
		treeVector("tsize-wrong", "ok", "M23", "links with a Tsize that is wrong, or none", root(func(m *treetest.Store, x dagpb.Link) string {
			y := pbField(pbField(nil, pbLinkHash, x.CID.KeyString()), pbLinkName, "y")
			x.Tsize = 7
			return without(x) + string(pbField(nil, pbNodeLinks, string(y))) + directory
		})),
		treeVector("unixfs-field", "ok", "M23", "UnixFS fields that are not known are passed over", file("\x08\x02\x48\x01\x20\x01", "x")),
		treeVector("unixfs-twice", "refused", "M23", "a UnixFS field twice", file("\x08\x02\x18\x01\x18\x01\x20\x01", "x")),
		treeVector("unixfs-type-none", "refused", "M23", "UnixFS data without a type", file("\x18\x01\x20\x01", "x")),
		treeVector("unixfs-type-unknown", "refused", "M23", "the UnixFS type 6", file("\x08\x06\x18\x01\x20\x01", "x")),
		treeVector("sizes-packed", "ok", "M23", "blocksizes that are packed, and no filesize", file("\x08\x02\x22\x02\x01\x02", "x", "yz")),
		treeVector("sizes-inline", "ok", "M23", "inline data before that of a link", file("\x08\x02\x12\x02ab\x18\x03\x20\x01", "x")),
		treeVector("sizes-of-node", "refused", "M23", "a node that is linked with a byte more than it has", func(m *treetest.Store) dagpb.Link {
			return m.Dir(treetest.Named("x", m.File([]uint64{2}, m.File([]uint64{1}, m.Raw([]byte("x"))))))
		}),
	}
}

// checkVectors are trees that are held against a release.
func checkVectors() []*vectors.Vector {
	build := func(m *treetest.Store) dagpb.Link {
		return m.Dir(treetest.Named("a.js", m.Raw([]byte("x"))), treetest.Named("package.json", m.Raw([]byte(`{"name":"p","version":"1.0.0","bin":"a.js","dependencies":{"d":"^1"}}`))))
	}
	check := func(name, expect, comment, manifest string) *vectors.Vector {
		v := treeVector("release-"+name, expect, "M50", comment, build)
		v.Set("release.json", "name \"p\"\nversion \"1.0.0\"\nmanifest "+manifest+"\n")
		return bounded(v, 70, 2)
	}
	return []*vectors.Vector{
		check("same", "ok", "a module and the manifest that follows from it", `{"bin":{"p":"a.js"},"dependencies":{"d":"^1"}}`),
		check("more", "refused", "a manifest with a dependency that the module does not have", `{"bin":{"p":"a.js"},"dependencies":{"d":"^1","e":"^1"}}`),
		check("less", "refused", "a manifest without a command that the module has", `{"dependencies":{"d":"^1"}}`),
		check("other", "refused", "a manifest with another range", `{"bin":{"p":"a.js"},"dependencies":{"d":"^2"}}`),
	}
}
