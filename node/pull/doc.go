// Package pull fetches the records that gossip did not bring: it reconciles sets with the
// peers that are there, answers those that ask, and asks how others' records compare
// (docs/program.md [N40] to [N45], docs/program.md [N82]). What comes goes to package ingest.
package pull
