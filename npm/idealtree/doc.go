// Package idealtree makes of the manifests of a project and of the releases that may be
// installed the node_modules that npm 11 makes of them: its ideal tree (SPEC.md section
// 17.6). It reads no disk but a project's package.json files, and no network; where the
// releases come from is its caller's to say.
//
// What it works on is written by strangers, so all of it is bounded: how many packages
// are placed, how deep, how many manifests are read, and how much is tried.
package idealtree
