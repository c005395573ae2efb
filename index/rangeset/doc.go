// Package rangeset is the set of elements that two nodes reconcile (SPEC.md section
// 13.1): the elements in order, and a counted tree of their sums, so that the sum of any
// range costs about the logarithm of their number.
//
// It lies in two tables of a database, and works in a transaction that it is given. It
// knows elements alone: no record, no key, no trust.
package rangeset
