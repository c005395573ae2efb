// Package reconcile brings the records that a node lacks from a peer that has
// them, at a cost that grows with what is missing and not with what there is.
// It knows no trust and no index.
//
// It implements SPEC.md section 13.
package reconcile
