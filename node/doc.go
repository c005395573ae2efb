// Package node puts es together: it makes the parts of one participant in the network,
// runs them, and answers api.Network (SPEC.md section 12). It decides nothing about
// formats, signatures or trust; it asks the packages that do.
//
// # Who opens what
//
// A home has no owner. Every command opens it for itself with package home: the trust
// file, keys, settings, remembered peers and projects are files that are replaced at once,
// the index is a database that processes share, and so is the block store. A command that
// signs holds sign.lock while it reads its log and adds to it.
//
// The daemon of a home, es node, holds node.lock. It alone has the peer identity, listens,
// announces, pulls, seeds and provides; commands reach that through the local API, which
// has the calls of api.Network and no others. Without a daemon a command has a node of its
// own, with a passing identity, for as long as it runs.
//
// What commands have written, the daemon finds by looking:
//
//   - own records that wait in the index are announced every 5 s (package outbox), and at
//     once when a command asks for it through the API;
//   - the trust file is read again when its size or time has changed, whenever it is asked
//     for; whom the user follows is found again when the file or the own keys have changed,
//     and after 10 s (package ingest);
//   - a changed trust file has what is stored looked through for modules to seed within 2 s,
//     and without a change once an hour (package replica);
//   - modules are provided when their release is announced or they are fetched by the daemon
//     itself, and what commands fetched at the next round, after 5.5 hours at most (package dht);
//   - settings are read when the daemon starts.
package node
