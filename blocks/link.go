package blocks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/unixfs"
)

// stamp is the modification time of the store's files that may be linked into other
// directories: their contents were verified after the last change that anybody made
// honestly, since a change sets another. npm gives it to all that it packs.
var stamp = time.Date(1985, 10, 26, 8, 15, 0, 0, time.UTC)

// wholeDir holds files that no single block is: those of several blocks, and those that
// may be executed.
const wholeDir = ".es-files" // flatfs passes over names that begin with a dot

// File returns the path of a file that holds exactly the contents of e, with mode 0644 or
// 0755, to be linked elsewhere. Size, mode and time are looked at each time. A file that
// differs in them is read, and replaced by a new one when it was changed: what was linked
// to it before keeps what was made of it. The error is a *unixfs.CorruptError when the
// block itself was changed, and nothing here has its bytes.
func (s *Store) File(ctx context.Context, e unixfs.Entry) (string, error) {
	if _, err := digest(e.CID); err != nil {
		return "", err
	}
	path, mode := s.file(e.CID), fs.FileMode(0o644)
	if e.Exec {
		mode = 0o755
	}
	single := e.CID.Type() == cid.Raw && !e.Exec && !isEmptyRaw(e.CID)
	if !single {
		name := filepath.Base(path)
		path = filepath.Join(s.dir, wholeDir, filepath.Base(filepath.Dir(path)), name)
	}
	info, err := os.Lstat(path)
	if err == nil && isStamped(info, e.Size, mode) {
		return path, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for file %s: %w", e.CID, err)
	}
	if single {
		return path, s.stampBlock(ctx, path, e, mode)
	}
	return path, s.writeWhole(ctx, path, e, mode)
}

func isStamped(info fs.FileInfo, size int64, mode fs.FileMode) bool {
	return info.Mode() == mode && info.Size() == size && info.ModTime().Equal(stamp)
}

// stampBlock verifies a block's file and marks it as one that may be linked.
func (s *Store) stampBlock(ctx context.Context, path string, e unixfs.Entry, mode fs.FileMode) error {
	b, err := s.Get(ctx, e.CID)
	if err != nil {
		return err
	}
	if int64(len(b)) != e.Size {
		return fmt.Errorf("link file %s: it has %d bytes, not %d", e.CID, len(b), e.Size)
	}
	if err := errors.Join(os.Chmod(path, mode), os.Chtimes(path, stamp, stamp)); err != nil {
		return fmt.Errorf("link file %s: %w", e.CID, err)
	}
	// Who wrote to it between the two has left its own time, or another size.
	info, err := os.Lstat(path)
	if err != nil || !isStamped(info, e.Size, mode) {
		return errors.Join(fmt.Errorf("link file %s: somebody changes it", e.CID), err)
	}
	return nil
}

// writeWhole makes a file of blocks.
func (s *Store) writeWhole(ctx context.Context, path string, e unixfs.Entry, mode fs.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write file %s: %w", e.CID, err)
	}
	temp := s.temp()
	defer func() {
		if err != nil {
			err = fmt.Errorf("write file %s: %w", e.CID, errors.Join(err, removeTemp(temp)))
		}
	}()
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = e.CopyTo(ctx, s, f)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(temp, stamp, stamp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func removeTemp(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// PutStamped is PutUnsynced for a block that will be linked, whose bytes the caller has
// just hashed: it is not read again before.
func (s *Store) PutStamped(ctx context.Context, c cid.Cid, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := digest(c); err != nil {
		return fmt.Errorf("store %w", err)
	}
	if isEmptyRaw(c) {
		return nil
	}
	path := s.file(c)
	if info, err := os.Lstat(path); err == nil && isStamped(info, int64(len(b)), 0o644) {
		return nil
	}
	temp := s.temp()
	err := createFile(temp, b)
	if err == nil && c.Type() == cid.Raw {
		err = errors.Join(os.Chmod(temp, 0o644), os.Chtimes(temp, stamp, stamp))
	}
	if err == nil {
		err = s.rename(temp, path, false)
	}
	if err != nil {
		return fmt.Errorf("store block %s: %w", c, errors.Join(err, removeTemp(temp)))
	}
	return nil
}
