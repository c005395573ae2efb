// Package atomicfile replaces files so that a reader sees the old or the new
// contents, and a power cut leaves one of them.
package atomicfile

import (
	"os"
	"path/filepath"
)

// TempPrefix begins the names of files that Replace has not renamed yet. A killed
// process leaves them behind.
const TempPrefix = ".new-"

// Replace writes b beside path, onto the disk, and renames it there. Only the user
// can read the file.
func Replace(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, TempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}
