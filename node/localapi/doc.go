// Package localapi carries the calls of api.Network from a command to the daemon of a
// home: HTTP with JSON over a unix socket (docs/program.md [N60] to [N62], [N105]). It
// opens no home, and decides nothing.
package localapi
