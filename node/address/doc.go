// Package address judges the addresses of peers: multiaddrs as users write them, and
// those that peers tell of themselves and of each other (SPEC.md [D80] to [D82]). It
// says where an address leads, and resolves names for the user alone. It dials nothing.
package address
