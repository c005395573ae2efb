// Package owner says whose a file is, and whether this user may write to it, as far as
// the system knows.
package owner
