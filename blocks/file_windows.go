package blocks

import (
	"errors"
	"os"
)

// readFile reads a file of at most most bytes, or the first of a longer one.
func readFile(path string, most int) ([]byte, error) {
	b, err := os.ReadFile(path)
	return b[:min(len(b), most)], err
}

// createFile writes a file that is not there yet.
func createFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func renameFile(from, to string) error { return os.Rename(from, to) }
