// Package es is a module index without a registry: authors sign records that
// link a name and a version to a module, and every client keeps its own index of
// those whose keys it trusts.
//
// This package is empty. The command is cli/es; SPEC.md says what the packages
// implement.
package es
