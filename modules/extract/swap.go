package extract

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/modules/unixfs"
)

// Names of what an extraction leaves beside its target while it runs. For a
// temporary directory T there are
//
//	T.lock  locked by the process that owns T, and gone after T; without the
//	        exchange of two names it holds the name that T is swapped with
//	T.old   the module that T replaces, likewise
const (
	tempPrefix = ".es-tmp-"
	lockSuffix = ".lock"
	oldSuffix  = ".old"
)

// A tempDir is a temporary directory that this process owns.
type tempDir struct {
	name string
	lock *os.File
}

func newTempDir(parent *os.Root) (*tempDir, error) {
	var random [8]byte
	for range 100 {
		rand.Read(random[:])
		t := &tempDir{name: tempPrefix + hex.EncodeToString(random[:])}
		lock, err := parent.OpenFile(t.name+lockSuffix, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.lock = lock
		if ours, err := t.acquire(parent); err != nil {
			return nil, errors.Join(err, lock.Close())
		} else if !ours {
			lock.Close()
			continue
		}
		if err := parent.Mkdir(t.name, 0o755); err != nil {
			return nil, errors.Join(err, t.remove(parent))
		}
		if err := parent.Chmod(t.name, 0o755); err != nil {
			return nil, errors.Join(err, t.remove(parent))
		}
		return t, nil
	}
	return nil, errors.New("no temporary name is free")
}

// acquire locks the lock file. Between its creation and its lock another process
// may have taken it for abandoned and removed it: then it is not ours.
func (t *tempDir) acquire(parent *os.Root) (bool, error) {
	locked, err := filelock.Try(t.lock)
	if err != nil || !locked {
		return false, err
	}
	return sameFile(parent, t.name+lockSuffix, t.lock)
}

func sameFile(parent *os.Root, name string, f *os.File) (bool, error) {
	there, err := parent.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(there, here), err
}

// remove removes everything that belongs to t, the lock last.
func (t *tempDir) remove(parent *os.Root) error {
	err := errors.Join(removeTree(parent, t.name), removeTree(parent, t.name+oldSuffix))
	if err != nil {
		return errors.Join(err, t.lock.Close())
	}
	return removeLock(parent, t.name+lockSuffix, t.lock)
}

// removeTree removes a tree whose directories may have been made unreadable.
func removeTree(parent *os.Root, name string) error {
	err := parent.RemoveAll(name)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	dir, openErr := parent.OpenRoot(name)
	if openErr != nil {
		return err
	}
	defer dir.Close()
	_ = fs.WalkDir(dir.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() {
			_ = dir.Chmod(p, 0o755)
		}
		return nil
	})
	return parent.RemoveAll(name)
}

// Swap puts the module in place of name and removes what was there. When it
// fails, name holds the old or the new module.
func (s *Staged) Swap(name string) error {
	if err := unixfs.CheckElement(name); err != nil {
		return errors.Join(fmt.Errorf("swap module: %w", err), s.Discard())
	}
	if err := s.swap(name); err != nil {
		return errors.Join(fmt.Errorf("swap module into %q: %w", name, err), s.Discard())
	}
	if s.sync != SyncNone {
		if err := atomicfile.SyncRoot(s.parent); err != nil {
			return errors.Join(fmt.Errorf("swap module into %q: %w", name, err), s.Discard())
		}
	}
	return s.Discard()
}

// swap makes name the staged directory, and the staged directory what was name.
func (s *Staged) swap(name string) error {
	// Another process may put something at name, or take it away, at any time.
	for range 10 {
		_, err := s.parent.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = s.parent.Rename(s.temp.name, name)
			if err == nil || !isOccupied(err) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		err = s.exchange(s.parent, s.temp.name, name)
		if errors.Is(err, errors.ErrUnsupported) {
			return s.swapWithJournal(name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.New("something else changes it all the time")
}

// swapWithJournal swaps without exchange: name is missing for a moment, and the
// journal says so. Recover puts the old module back if this process dies there.
func (s *Staged) swapWithJournal(name string) error {
	if err := writeJournal(s.temp.lock, name); err != nil {
		return err
	}
	old := s.temp.name + oldSuffix
	if err := s.parent.Rename(name, old); err != nil {
		return err
	}
	if err := s.parent.Rename(s.temp.name, name); err != nil {
		return errors.Join(err, s.parent.Rename(old, name))
	}
	return nil
}

func writeJournal(lock *os.File, name string) error {
	if _, err := lock.WriteAt([]byte(name+"\n"), 0); err != nil {
		return err
	}
	return lock.Sync()
}

// Recover removes the temporary directories in parent whose owners are gone,
// and finishes or rolls back a swap that was interrupted. What other processes
// are writing stays.
func Recover(parent *os.Root) error {
	dir, err := parent.Open(".")
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		temp := strings.TrimSuffix(strings.TrimSuffix(name, lockSuffix), oldSuffix)
		if seen[temp] {
			continue
		}
		seen[temp] = true
		if err := recoverTemp(parent, temp); err != nil {
			return fmt.Errorf("recover %q: %w", temp, err)
		}
	}
	return nil
}

func recoverTemp(parent *os.Root, temp string) error {
	// What is no file was not put there by an extraction.
	if info, err := parent.Lstat(temp + lockSuffix); err == nil && !info.Mode().IsRegular() {
		if err := parent.RemoveAll(temp + lockSuffix); err != nil {
			return err
		}
	}
	lock, err := parent.OpenFile(temp+lockSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	t := &tempDir{temp, lock}
	ours, err := t.acquire(parent)
	if err != nil || !ours {
		return errors.Join(err, lock.Close())
	}
	if err := t.rollBack(parent); err != nil {
		return errors.Join(err, lock.Close())
	}
	return t.remove(parent)
}

// rollBack gives the old module its name back if the swap stopped between its
// two renames.
func (t *tempDir) rollBack(parent *os.Root) error {
	old, err := parent.Lstat(t.name + oldSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	journal, err := io.ReadAll(io.NewSectionReader(t.lock, 0, 2*unixfs.MaxElement))
	if err != nil {
		return err
	}
	name, complete := strings.CutSuffix(string(journal), "\n")
	if !complete || unixfs.CheckElement(name) != nil {
		if !old.IsDir() {
			return nil // a link or a file that somebody else put there
		}
		return fmt.Errorf("the journal %s%s is damaged; the old module is in %s%s", t.name, lockSuffix, t.name, oldSuffix)
	}
	_, err = parent.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return parent.Rename(t.name+oldSuffix, name)
	}
	return err
}
