// Package atomicfile replaces files at once and on the disk: after a crash or a power cut
// a file is the old or the new one. What a killed process leaves has the prefix TempPrefix.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// TempPrefix begins the names of the files that Replace has not renamed yet.
const TempPrefix = ".new-"

// Replace makes b the contents of the file at path, which only the user can read. A link
// at path is replaced, not followed.
func Replace(path string, b []byte) error {
	temp := filepath.Join(filepath.Dir(path), TempPrefix+rand.Text())
	if err := Create(temp, b, 0o600); err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return nil
}

// Create writes a file that is not there yet, of exactly this mode, and returns when its
// contents are on the disk. After an error it leaves nothing.
func Create(path string, b []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// Rename renames a file within its directory, and syncs the directory.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir makes the renames in a directory survive a power cut, where the system and the
// file system can: Windows cannot.
func SyncDir(dir string) error {
	return syncDir(func() (*os.File, error) { return os.Open(dir) })
}

// SyncRoot is SyncDir for an open directory.
func SyncRoot(root *os.Root) error {
	return syncDir(func() (*os.File, error) { return root.Open(".") })
}
