// Package install is what es add, install, update, remove, list and verify do with a
// project: it reads what package.json asks for, has that resolved and placed, checks every
// module before it is written, writes es-lock.json, and makes node_modules agree with it.
//
// The rooms below follow SPEC.md section 11: packagejson (11.1), lockfile (11.2), tree
// (11.3) and layout (11.5); whose word counts (11.4) is here. What to trust is not decided
// here: a Resolver, which sees the index and the trust file, says which release a name and
// range mean, and a Fetcher brings the bytes. No script of a package ever runs.
package install
