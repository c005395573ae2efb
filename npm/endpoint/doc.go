// Package endpoint serves the npm registry protocol, as npm 11 and 12, pnpm, yarn 1
// and berry, and bun speak it, from what a Source has (SPEC.md section 17). It
// decides nothing: which versions exist for a client, and why one does not, is the
// Source's to say. It stores nothing and asks nobody.
//
// It is meant for a loopback address. A page in a browser cannot use it: requests
// with a foreign Host or with an Origin are refused ([Q40]).
package endpoint
