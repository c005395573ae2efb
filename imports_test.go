package es_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/everythingstays/es"

// mayImport is the architecture: which of our packages each may import, and in the
// comment above a row what the package is for, in a sentence. It reads the source, not
// "go list", whose cache once let a bad import pass.
var mayImport = map[string][]string{
	// The documentation of the whole.
	".": {},
	// Records: their types, canonical encoding, names, versions, texts and limits.
	"records": {},
	// npm's ranges, tags and versions as they are typed: one reading for all.
	"records/npmrange": {"records"},
	// OpenPGP keys and the signatures over records: the one way to a verified record.
	"sign": {"records", "internal/regularfile", "sign/internal/openpgp"},
	// The grammar and arithmetic of OpenPGP without policy, to be reviewed alone.
	"sign/internal/openpgp": {"records"},
	// Trust files, and the decision what a name and a version is.
	"trust": {"internal/atomicfile", "internal/filelock", "internal/regularfile", "records", "records/npmrange", "trust/authority", "trust/internal/delegation", "trust/internal/word"},
	// Registries of npm whose word a user lets count, and what they vouch for.
	"trust/authority": {"npm", "records", "trust/internal/word"},
	// The words of a line of a trust file.
	"trust/internal/word": {"records"},
	// The graph of delegations and successions: which keys decide about a name.
	"trust/internal/delegation": {"records"},
	// The SQLite file of an index: opening, transactions, errors; it knows no table.
	"index/internal/db": {"records"},
	// What search reads: names by their places, and the words of their newest releases.
	"index/internal/texts": {"records", "index/internal/db"},
	// The set of elements that nodes reconcile, with the sums of its ranges; no keys, no trust.
	"index/rangeset": {"records"},
	// The store of verified records and keys, and typed questions to its tables.
	"index": {"records", "sign", "index/internal/db", "index/internal/texts", "index/rangeset"},
	// The logs of authors: where the next record goes, what is missing, backdated or retracted.
	"index/authorlog": {"records", "sign", "trust", "index", "index/internal/db"},
	// What name@range stands for, by what a user trusts, or why there is nothing.
	"index/resolve": {"records", "records/npmrange", "trust", "index", "index/authorlog"},
	// The names that another looks like.
	"index/lookalike": {"records", "trust", "index", "index/internal/db"},
	// Names by what a user types.
	"index/search": {"records", "sign", "trust", "index", "index/internal/db", "index/internal/texts", "index/resolve"},
	// Check and repair of all that an index stores.
	"index/fsck": {"records", "sign", "index", "index/internal/db", "index/internal/texts"},
	// Names that some file system takes for one: case folding, with the tables of Unicode 15.
	"modules/casefold": {},
	// The codec of the blocks of a tree, without limits of its own.
	"modules/internal/dagpb": {},
	// package.json as npm reads it.
	"modules/internal/npmjson": {},
	// Trees of blocks: built in one profile, and read under the rules of names and limits.
	"modules/unixfs": {"modules/casefold", "modules/internal/dagpb", "records"},
	// Patterns of paths as npm matches them.
	"modules/minimatch": {},
	// Which files npm publishes: its ignore files and its bundles.
	"modules/packlist": {"internal/regularfile", "modules/internal/npmjson", "modules/minimatch", "modules/unixfs"},
	// A tree on disk, complete and swapped into place.
	"modules/extract": {"internal/atomicfile", "internal/filelock", "modules/unixfs", "records"},
	// For tests: trees of blocks that no builder makes.
	"modules/internal/treetest": {"modules/internal/dagpb", "modules/internal/npmjson", "modules/unixfs", "records"},
	// For tests: vectors in testdata, and their generators.
	"internal/vectors": {},
	// Modules: package.json, what follows from it, what is packed and what must not be.
	"modules": {"internal/regularfile", "modules/internal/npmjson", "modules/packlist", "modules/unixfs", "records", "records/npmrange"},
	// What an author does: releases, their tags and statements. It knows no network.
	"author": {"records", "records/npmrange", "sign", "index", "index/authorlog", "modules"},
	// Records and keys over gossipsub.
	"gossip": {"internal/broadcast", "records"},
	// The comparison of two sets of records over a stream.
	"reconcile": {"records"},
	// Blocks of modules over streams.
	"transfer": {"records", "modules/unixfs"},
	// The store of blocks on the disk, which knows of trees what their links say, and no peers.
	"blocks": {"internal/atomicfile", "internal/regularfile", "modules/unixfs"},
	// es-lock.json: which module stands where, and who signed it.
	"install/lockfile": {"internal/jsonfile", "internal/regularfile", "records"},
	// esDependencies in package.json: specs, and edits that change nothing else.
	"install/packagejson": {"internal/jsonfile", "internal/regularfile", "records", "records/npmrange"},
	// From dependencies to a tree: which release, and which node_modules it stands in.
	"install/tree": {"records", "records/npmrange", "install/lockfile", "install/packagejson"},
	// The other package managers in a project, and which packages are theirs.
	"install/managers": {"internal/regularfile", "install/lockfile", "install/packagejson"},
	// node_modules: what is pending, how it is written, and what stands there.
	"install/layout": {"internal/atomicfile", "internal/filelock", "internal/jsonfile", "internal/regularfile", "records", "modules", "install/lockfile", "install/managers", "install/packagejson", "install/tree", "modules/extract", "modules/unixfs"},
	// A project: what es add, install, update, remove, list and verify do with it.
	"install": {"internal/jsonfile", "internal/regularfile", "records", "modules", "install/layout", "install/lockfile", "install/managers", "install/packagejson", "install/tree", "modules/extract", "modules/unixfs"},
	// For tests: releases that need each other in every way.
	"install/internal/fakes": {"records"},
	// What an npm registry signs, and what else it says.
	"npm": {"records"},
	// npm's configuration files: which registry, and what proves who asks.
	"npm/npmrc": {"internal/regularfile"},
	// A client of npm registries.
	"npm/registry": {"internal/regularfile", "npm", "npm/npmrc", "records"},
	// The node_modules that npm makes of a project's package.json and of the releases that
	// there are.
	"npm/idealtree": {"npm/manifest", "records", "records/npmrange"},
	// package.json where it decides about node_modules, as npm reads it.
	"npm/manifest": {"npm", "records", "records/npmrange"},
	// Which releases a request needs, by what a registry says of them.
	"npm/closure": {"npm/registry", "records", "records/npmrange"},
	// The files of a tarball, as npm leaves them in node_modules.
	"npm/tarball": {"records"},
	// Which tree this home made of a tarball, by its SHA-512.
	"npm/unpacked": {"internal/atomicfile", "internal/regularfile", "records"},
	// From a registry's tarballs to modules in this home.
	"npm/importer": {"modules", "npm/registry", "npm/tarball", "npm/unpacked", "records", "modules/unixfs"},
	// node_modules exactly as npm's package-lock.json says. Installations keep off
	// what another is making.
	"npm/ci": {"internal/filelock", "modules/unixfs", "npm", "npm/packagelock", "npm/unpacked", "records"},
	// npm's package-lock.json.
	"npm/packagelock": {"npm", "records"},
	// Advisories in the OSV format.
	"npm/osv": {"internal/atomicfile", "internal/regularfile", "records"},
	// The registry protocol, served to npm's clients.
	"npm/endpoint": {"npm", "records"},
	// The registries that npm is configured for: which one a package comes from.
	"npm/upstream": {"npm", "npm/npmrc", "npm/registry"},
	// Whether a release of a registry is let through: pins, age, advisories.
	"npm/guard": {"npm/osv", "records", "trust", "trust/authority"},
	// What this home has of npm's registries, and may get from them: a source for the endpoint.
	"npm/mirror": {"internal/atomicfile", "internal/regularfile", "modules/unixfs", "npm", "npm/endpoint", "npm/guard", "npm/importer", "npm/osv", "npm/registry", "npm/unpacked", "records"},
	// The addresses of peers: how they are written, where they lead, and which are believed.
	"node/address": {},
	// What commands ask of a node, and what it answers.
	"node/api": {"records", "node/address"},
	// peers.json: which nodes were met, and where.
	"node/peerbook": {"internal/atomicfile", "internal/filelock", "internal/regularfile", "node/address"},
	// One user's directory: keys, trust file, settings, index and blocks.
	"node/home": {"npm/unpacked", "internal/atomicfile", "internal/filelock", "internal/owner", "internal/regularfile", "records", "sign", "trust", "trust/authority", "index", "index/authorlog", "index/fsck", "blocks", "node/address", "node/api", "node/peerbook"},
	// The one way in for records and keys of others: what is stored, and what is passed on.
	"ingest": {"records", "sign", "trust", "index", "index/authorlog"},
	// The local API: its server in a daemon, and its client in a command.
	"node/localapi": {"internal/atomicfile", "internal/owner", "internal/regularfile", "index", "records", "node/api", "modules/unixfs"},
	// Peers on the local network, by multicast DNS.
	"node/mdns": {"node/address"},
	// This node's part of a DHT: who has a module, and what is here.
	"node/dht": {"node/address", "node/api"},
	// The libp2p host: whom it accepts, dials, remembers and finds.
	"node/swarm": {"internal/broadcast", "gossip", "reconcile", "records", "node/address", "node/api", "node/dht", "node/mdns", "node/peerbook"},
	// What gossip did not bring, pulled from peers by the comparison of sets.
	"node/pull": {"index", "index/rangeset", "node/api", "node/swarm", "reconcile", "records", "trust"},
	// Announcing: own records that wait, and what others may have missed.
	"node/outbox": {"gossip", "index", "node/api", "node/swarm", "records", "sign"},
	// Which modules are here: fetched from peers, served, and seeded.
	"node/replica": {"blocks", "index", "internal/regularfile", "modules/unixfs", "node/api", "node/swarm", "records", "transfer", "trust"},
	// The registry of a home for npm's clients: its address, and which process serves it.
	"node/registry": {"internal/atomicfile", "internal/filelock", "internal/regularfile", "node/home", "npm/endpoint", "npm/guard", "npm/mirror", "npm/osv"},
	// Wiring: the parts of one participant, and the calls of node/api over them.
	"node": {"node/swarm", "node/pull", "node/outbox", "node/replica", "node/localapi", "node/address", "node/api", "node/home", "blocks", "records", "sign", "trust", "index", "ingest", "gossip", "reconcile", "transfer"},
	// What is printed and asked: messages, tables, progress, refusals, exit codes.
	"cli/internal/ui": {"records"},
	// One run of es: global flags, the home, the network, and what errors are shown as.
	"cli": {"node/address", "blocks", "cli/internal/ui", "index", "index/lookalike", "index/resolve", "install", "modules/unixfs", "node/api", "node/home", "node/localapi", "records", "records/npmrange", "sign", "trust"},
	// The demonstration of es on one machine.
	"cli/democmd": {"cli", "cli/internal/ui", "node/api", "testdata/samples"},
	// Commands about own keys.
	"cli/keycmd": {"author", "cli", "cli/internal/ui", "internal/atomicfile", "internal/regularfile", "node/api", "node/home", "records", "sign"},
	// Commands about the network: the node of this home and its peers.
	"cli/nodecmd": {"node/swarm", "cli", "cli/internal/ui", "node", "node/address", "node/api", "node/home", "node/localapi", "node/registry", "npm/guard", "npm/osv", "npm/upstream", "trust"},
	// Commands that take packages from npm's registries, and install what npm's lockfile says.
	"cli/npmcmd": {"cli", "cli/internal/ui", "install", "internal/filelock", "internal/regularfile", "node/home", "npm", "npm/ci", "npm/closure", "npm/importer", "node/registry", "npm/guard", "npm/osv", "npm/packagelock", "npm/registry", "npm/unpacked", "npm/upstream", "records"},
	// Commands that change and check the project in the current directory.
	"cli/projectcmd": {"blocks", "cli", "cli/internal/ui", "index", "index/resolve", "install", "install/packagejson", "modules", "modules/unixfs", "node/api", "node/home", "npm/importer", "npm/tarball", "records", "sign", "trust"},
	// Commands that sign what an author has to say.
	"cli/publishcmd": {"author", "cli", "cli/internal/ui", "index", "index/authorlog", "internal/regularfile", "modules", "modules/unixfs", "node/api", "node/home", "node/localapi", "records", "records/npmrange", "sign"},
	// Commands that show what others have signed.
	"cli/searchcmd": {"cli", "cli/internal/ui", "index", "index/resolve", "index/search", "node/home", "records", "sign", "trust"},
	// Commands about whom the user believes, and why a version is taken or not.
	"cli/trustcmd": {"cli", "cli/internal/ui", "index/resolve", "install", "internal/regularfile", "node/home", "npm", "npm/registry", "npm/upstream", "records", "sign", "trust", "trust/authority"},
	// The program es: the groups of commands that it has.
	"cli/es": {"cli", "cli/democmd", "cli/keycmd", "cli/nodecmd", "cli/npmcmd", "cli/projectcmd", "cli/publishcmd", "cli/searchcmd", "cli/trustcmd"},

	// Tells everybody who waits that something has changed.
	"internal/broadcast": {},
	// Files that are replaced at once, and survive a power cut.
	"internal/atomicfile": {},
	// Exclusive locks on files, which end with their process.
	"internal/filelock": {},
	// Whose a file is, and whether this user may write to it.
	"internal/owner": {},
	// Files of others, read with a limit, and regular files alone.
	"internal/regularfile": {},
	// JSON files that people edit: where each member stands, and what is wrong with which line.
	"internal/jsonfile": {},

	// Which checks of bytes the vectors would miss: see bench/mutants.sh.
	"bench/mutants": {},
	// For tests: many members in virtual time.
	"simulation": {},
	// For tests and the demo: packages that are published there.
	"testdata/samples": {},
}

// ourImports calls each for every import of one of our packages in the non-test
// source below root, and with "" for each file.
func ourImports(root fs.FS, each func(file, from, imported string)) error {
	return fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := fs.Stat(root, path.Join(file, "go.mod"))
			otherModule := file != "." && err == nil
			if otherModule || strings.HasPrefix(d.Name(), ".") && file != "." || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := path.Dir(file)
		each(file, from, "")
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imported == module {
				each(file, from, ".")
			} else if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				each(file, from, ours)
			}
		}
		return nil
	})
}

// badImports walks the non-test source below root and says what the table
// forbids, and how many files it saw.
func badImports(root fs.FS) (bad []string, files int, err error) {
	err = ourImports(root, func(file, from, imported string) {
		allowed, known := mayImport[from]
		switch {
		case imported == "":
			files++
			if !known {
				bad = append(bad, file+": package "+from+" is not in the table")
			}
		case known && !slices.Contains(allowed, imported):
			bad = append(bad, file+": "+from+" may not import "+imported)
		}
	})
	return bad, files, err
}

func TestImports(t *testing.T) {
	bad, files, err := badImports(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
	if files < len(mayImport)/2 {
		t.Errorf("saw only %d files", files)
	}
	for name := range mayImport {
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil && name != "npm" { // npm is still to come
			t.Errorf("the table has package %s: %v", name, err)
		}
	}
}

// TestImportsSees gives badImports trees with one fault each.
func TestImportsSees(t *testing.T) {
	for source, fault := range map[string]string{
		"records/a.go: " + module + "/sign":         "records may not import sign",
		"gossip/a.go: " + module + "/trust":         "gossip may not import trust",
		"index/a.go: " + module:                     "index may not import .",
		"index/a.go: " + module + "/index/internal": "index may not import index/internal",
		"utils/a.go: fmt":                           "package utils is not in the table",
		"sign/deep/a.go: fmt":                       "package sign/deep is not in the table",
		"cli/es/a.go: " + module + "/node":          "cli/es may not import node",
	} {
		file, imported, _ := strings.Cut(source, ": ")
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte("package a\nimport _ "+strconv.Quote(imported)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		bad, _, err := badImports(os.DirFS(root))
		if err != nil || len(bad) != 1 || bad[0] != file+": "+fault {
			t.Errorf("%s gives %q, %v; want %q", source, bad, err, fault)
		}
	}
}

// longestChain returns the longest chain of imports among the packages of edges, the
// importer first.
func longestChain(edges map[string][]string) []string {
	longest := map[string][]string{}
	var from func(string) []string
	from = func(name string) []string {
		if chain, known := longest[name]; known {
			return chain
		}
		var below []string
		for _, imported := range edges[name] {
			if chain := from(imported); len(chain) > len(below) {
				below = chain
			}
		}
		longest[name] = append([]string{name}, below...)
		return longest[name]
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(edges)) {
		if chain := from(name); len(chain) > len(all) {
			all = chain
		}
	}
	return all
}

// TestImportChain holds that no chain of imports among our packages has more than 9.
func TestImportChain(t *testing.T) {
	edges := map[string][]string{}
	err := ourImports(os.DirFS("."), func(_, from, imported string) {
		if imported != "" {
			edges[from] = append(edges[from], imported)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if chain := longestChain(edges); len(chain) > 9 || len(chain) < 4 {
		t.Errorf("%d packages in a chain: %s", len(chain), strings.Join(chain, " > "))
	}
	got := longestChain(map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"b"}, "e": {"d"}})
	if want := []string{"a", "c", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("the longest chain is %q, want %q", got, want)
	}
}
