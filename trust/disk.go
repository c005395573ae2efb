package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/everythingstays/es/internal/regularfile"
)

// lockWait is how long Update waits for another editor.
const lockWait = 5 * time.Second

// Load reads the trust file at path. A file that does not exist is empty: nobody
// is trusted.
func Load(path string) (*File, error) { return load(path, Parse) }

func load(path string, parse func([]byte) (*File, error)) (*File, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read trust file: %w", err)
	}
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func readFile(path string) ([]byte, error) {
	b, err := regularfile.Read(path, MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Update changes the trust file at path: it reads the file, lets edit change it
// and puts the result in place at once, readable by the user alone. Another
// Update of the same file, by any process, waits its turn for up to 5 seconds.
// When edit fails or changes nothing, the file is not touched.
func Update(path string, edit func(*File) error) error { return update(path, Parse, edit) }

func update(path string, parse func([]byte) (*File, error), edit func(*File) error) error {
	// A trust file kept elsewhere and linked to stays a link.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	unlock, err := lock(path+".lock", lockWait)
	if err != nil {
		return fmt.Errorf("lock trust file: %w", err)
	}
	defer unlock()
	f, err := load(path, parse)
	if err != nil {
		return err
	}
	before := f.Bytes()
	if err := edit(f); err != nil {
		return err
	}
	after := f.Bytes()
	if bytes.Equal(before, after) {
		return nil
	}
	// Whatever the edit did, the next reader must be able to read it.
	if _, err := parse(after); err != nil {
		return fmt.Errorf("edit trust file: %w", err)
	}
	if err := replaceFile(path, after); err != nil {
		return fmt.Errorf("write trust file: %w", err)
	}
	return nil
}

// replaceFile writes b beside path, onto the disk, and renames it.
func replaceFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".trust-*") // mode 0600
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
	return syncDir(dir)
}
