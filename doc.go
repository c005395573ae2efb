// Package es is a module index without a registry: authors sign records that
// link a name and a version to a module, and every client keeps its own index of
// those whose keys it trusts.
//
// This package is empty. The command is cli/es. SPEC.md says what the packages
// implement, docs/program.md what else this program does, CONTRIBUTING.md how to
// change it, and imports_test.go which package may import which.
//
// The packages, those first that others import:
//
//	records                    Records: their types, canonical encoding, names, versions, texts and limits.
//	records/npmrange           npm's ranges, tags and versions as they are typed: one reading for all.
//	sign                       OpenPGP keys and the signatures over records: the one way to a verified record.
//	sign/internal/openpgp      The grammar and arithmetic of OpenPGP without policy, to be reviewed alone.
//	trust                      Trust files, and the decision what a name and a version is.
//	trust/authority            Registries of npm whose word a user lets count, and what they vouch for.
//	trust/internal/word        The words of a line of a trust file.
//	trust/internal/delegation  The graph of delegations and successions: which keys decide about a name.
//	index/internal/db          The SQLite file of an index: opening, transactions, errors; it knows no table.
//	index/internal/texts       What search reads: names by their places, and the words of their newest releases.
//	index/rangeset             The set of elements that nodes reconcile, with the sums of its ranges; no keys, no trust.
//	index                      The store of verified records and keys, and typed questions to its tables.
//	index/authorlog            The logs of authors: where the next record goes, what is missing, backdated or retracted.
//	index/resolve              What name@range stands for, by what a user trusts, or why there is nothing.
//	index/lookalike            The names that another looks like.
//	index/search               Names by what a user types.
//	index/fsck                 Check and repair of all that an index stores.
//	modules/casefold           Names that some file system takes for one: case folding, with the tables of Unicode 15.
//	modules/internal/dagpb     The codec of the blocks of a tree, without limits of its own.
//	modules/internal/npmjson   package.json as npm reads it.
//	modules/unixfs             Trees of blocks: built in one profile, and read under the rules of names and limits.
//	modules/minimatch          Patterns of paths as npm matches them.
//	modules/packlist           Which files npm publishes: its ignore files and its bundles.
//	modules/extract            A tree on disk, complete and swapped into place.
//	modules/internal/treetest  For tests: trees of blocks that no builder makes.
//	internal/vectors           For tests: vectors in testdata, and their generators.
//	modules                    Modules: package.json, what follows from it, what is packed and what must not be.
//	author                     What an author does: releases, their tags and statements. It knows no network.
//	gossip                     Records and keys over gossipsub.
//	reconcile                  The comparison of two sets of records over a stream.
//	transfer                   Blocks of modules over streams.
//	blocks                     The store of blocks on the disk, which knows of trees what their links say, and no peers.
//	install/lockfile           es-lock.json: which module stands where, and who signed it.
//	install/packagejson        esDependencies in package.json: specs, and edits that change nothing else.
//	install/tree               From dependencies to a tree: which release, and which node_modules it stands in.
//	install/managers           The other package managers in a project, and which packages are theirs.
//	install/layout             node_modules: what is pending, how it is written, and what stands there.
//	install                    A project: what es add, install, update, remove, list and verify do with it.
//	install/internal/fakes     For tests: releases that need each other in every way.
//	npm                        What an npm registry signs, and what else it says.
//	npm/npmrc                  npm's configuration files: which registry, and what proves who asks.
//	npm/registry               A client of npm registries.
//	npm/idealtree              The node_modules that npm makes of a project's package.json and of the releases that there are.
//	npm/manifest               package.json where it decides about node_modules, as npm reads it.
//	npm/closure                Which releases a request needs, by what a registry says of them.
//	npm/tarball                The files of a tarball, as npm leaves them in node_modules.
//	npm/unpacked               Which tree this home made of a tarball, by its SHA-512.
//	npm/importer               From a registry's tarballs to modules in this home.
//	npm/ci                     node_modules exactly as npm's package-lock.json says. Installations keep off what another is making.
//	npm/packagelock            npm's package-lock.json.
//	npm/osv                    Advisories in the OSV format.
//	npm/endpoint               The registry protocol, served to npm's clients.
//	npm/upstream               The registries that npm is configured for: which one a package comes from.
//	npm/guard                  Whether a release of a registry is let through: pins, age, advisories.
//	npm/mirror                 What this home has of npm's registries, and may get from them: a source for the endpoint.
//	node/address               The addresses of peers: how they are written, where they lead, and which are believed.
//	node/api                   What commands ask of a node, and what it answers.
//	node/peerbook              peers.json: which nodes were met, and where.
//	node/home                  One user's directory: keys, trust file, settings, index and blocks.
//	ingest                     The one way in for records and keys of others: what is stored, and what is passed on.
//	node/localapi              The local API: its server in a daemon, and its client in a command.
//	node/mdns                  Peers on the local network, by multicast DNS.
//	node/dht                   This node's part of a DHT: who has a module, and what is here.
//	node/swarm                 The libp2p host: whom it accepts, dials, remembers and finds.
//	node/pull                  What gossip did not bring, pulled from peers by the comparison of sets.
//	node/outbox                Announcing: own records that wait, and what others may have missed.
//	node/replica               Which modules are here: fetched from peers, served, and seeded.
//	node/registry              The registry of a home for npm's clients: its address, and which process serves it.
//	node                       Wiring: the parts of one participant, and the calls of node/api over them.
//	cli/internal/ui            What is printed and asked: messages, tables, progress, refusals, exit codes.
//	cli                        One run of es: global flags, the home, the network, and what errors are shown as.
//	cli/democmd                The demonstration of es on one machine.
//	cli/keycmd                 Commands about own keys.
//	cli/nodecmd                Commands about the network: the node of this home and its peers.
//	cli/npmcmd                 Commands that take packages from npm's registries, and install what npm's lockfile says.
//	cli/projectcmd             Commands that change and check the project in the current directory.
//	cli/publishcmd             Commands that sign what an author has to say.
//	cli/searchcmd              Commands that show what others have signed.
//	cli/trustcmd               Commands about whom the user believes, and why a version is taken or not.
//	cli/es                     The program es: the groups of commands that it has.
//	internal/broadcast         Tells everybody who waits that something has changed.
//	internal/atomicfile        Files that are replaced at once, and survive a power cut.
//	internal/filelock          Exclusive locks on files, which end with their process.
//	internal/owner             Whose a file is, and whether this user may write to it.
//	internal/regularfile       Files of others, read with a limit, and regular files alone.
//	internal/jsonfile          JSON files that people edit: where each member stands, and what is wrong with which line.
//	bench/mutants              Which checks of bytes the vectors would miss: see bench/mutants.sh.
//	simulation                 For tests: many members in virtual time.
//	testdata/samples           For tests and the demo: packages that are published there.
package es
