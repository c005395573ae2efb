package blocks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules/unixfs"
)

// The layout is flatfs's, as kubo has it in blocks/ (docs/program.md [N10]). flatfs itself
// cannot be opened by two processes: opening it removes the other's unfinished
// files, and its size cache is written by both.
const (
	shardFile  = "SHARDING"
	shardText  = "/repo/flatfs/shard/v1/next-to-last/2\n"
	maxShard   = 4 << 10 // bytes of the file
	extension  = ".data"
	tempDir    = ".es-temp" // flatfs passes over names that begin with a dot
	tempMaxAge = time.Hour
)

// Store keeps blocks of up to 2 MiB by their SHA2-256, one file each.
// Processes may share one directory; a block is there whole or not at all. It
// implements modules.Blocks, modules.Sizer and modules.Store.
//
// The empty raw block is always there, and needs no file.
type Store struct {
	dir  string
	run  string // in the names of this process's unfinished files
	puts atomic.Int64
}

// Open opens the block store in dir, and makes it if there is none.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, tempDir), 0o700); err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	shard := filepath.Join(dir, shardFile)
	b, err := regularfile.Read(shard, maxShard)
	if errors.Is(err, fs.ErrNotExist) {
		if err = atomicfile.Replace(shard, []byte(shardText)); err == nil {
			b = []byte(shardText)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	if string(b) != shardText {
		return nil, shardError(dir, b)
	}
	// A link there would have the sweep remove somebody else's old files.
	if info, err := os.Lstat(filepath.Join(dir, tempDir)); err != nil || !info.IsDir() {
		return nil, cmp.Or(err, fmt.Errorf("open block store: %s is no directory", filepath.Join(dir, tempDir)))
	}
	s := &Store{dir: dir, run: rand.Text()}
	s.sweep(time.Now().Add(-tempMaxAge))
	return s, nil
}

// OpenReadOnly opens the block store in dir as it is, and writes nothing.
func OpenReadOnly(dir string) (*Store, error) {
	if b, err := regularfile.Read(filepath.Join(dir, shardFile), maxShard); err == nil && string(b) != shardText {
		return nil, shardError(dir, b)
	}
	return &Store{dir: dir, run: rand.Text()}, nil
}

func shardError(dir string, b []byte) error {
	return fmt.Errorf("open block store: %s says %.60q, this es knows %q", filepath.Join(dir, shardFile), b, shardText)
}

// sweep removes unfinished files that are older than a Put can take.
func (s *Store) sweep(before time.Time) {
	entries, err := os.ReadDir(filepath.Join(s.dir, tempDir))
	if err != nil {
		return // it only costs space
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue
		}
		path := filepath.Join(s.dir, tempDir, e.Name())
		if info.ModTime().Equal(stamp) {
			// It says nothing of its age. Another process may be about to rename it: without
			// its stamp it is verified before it is linked.
			now := time.Now()
			os.Chtimes(path, now, now)
			continue
		}
		os.Remove(path)
	}
}

// Check says why no block of this CID can be stored: its hash is not SHA2-256.
func Check(c cid.Cid) error {
	_, err := digest(c)
	return err
}

// ModTime returns when the block's file was written. The error is fs.ErrNotExist when
// there is none.
func (s *Store) ModTime(c cid.Cid) (time.Time, error) {
	info, err := os.Stat(s.file(c))
	if err != nil {
		return time.Time{}, fmt.Errorf("look for block %s: %w", c, err)
	}
	return info.ModTime(), nil
}

// digest returns the SHA2-256 that c names.
func digest(c cid.Cid) ([]byte, error) {
	if !c.Defined() {
		return nil, errors.New("no CID")
	}
	d, err := multihash.Decode(c.Hash())
	if err != nil {
		return nil, fmt.Errorf("block %s: %v", c, err)
	}
	if d.Code != multihash.SHA2_256 || d.Length != sha256.Size {
		return nil, fmt.Errorf("block %s: its hash is %s, only sha2-256 is taken", c, d.Name)
	}
	return d.Digest, nil
}

// isEmptyRaw reports whether c is the empty block: no IPFS node delivers it.
func isEmptyRaw(c cid.Cid) bool {
	return c.Prefix().Codec == cid.Raw && bytes.HasSuffix(c.Hash(), emptyHash[:])
}

var emptyHash = sha256.Sum256(nil)

var base32Name = base32.StdEncoding.WithPadding(base32.NoPadding)

func (s *Store) file(c cid.Cid) string {
	name := base32Name.EncodeToString(c.Hash())
	return filepath.Join(s.dir, name[len(name)-3:len(name)-1], name+extension)
}

// Path returns the file that holds exactly the bytes of the raw block c, for
// linking or copying, and whether there is one. Its contents were verified when
// it was written, not now.
func (s *Store) Path(c cid.Cid) (string, bool) {
	if _, err := digest(c); err != nil || c.Prefix().Codec != cid.Raw {
		return "", false
	}
	path := s.file(c)
	info, err := os.Lstat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// Has reports whether the block is here. It does not read it.
func (s *Store) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.Size(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Size returns the block's length in bytes without reading it. The error is
// fs.ErrNotExist when the block is not here.
func (s *Store) Size(ctx context.Context, c cid.Cid) (int, error) {
	if _, err := digest(c); err != nil {
		return 0, err
	}
	if isEmptyRaw(c) {
		return 0, nil
	}
	info, err := os.Stat(s.file(c))
	if err != nil {
		return 0, fmt.Errorf("look for block %s: %w", c, err)
	}
	return int(info.Size()), nil
}

// Get reads and verifies a block. The error is fs.ErrNotExist when the block is
// not here, and a *modules.CorruptError when its file holds
// something else: the disk failed, or somebody edited a file that shares its
// contents. Delete the block then, and Fetch it again.
func (s *Store) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	want, err := digest(c)
	if err != nil {
		return nil, err
	}
	if isEmptyRaw(c) {
		return []byte{}, nil
	}
	path := s.file(c)
	b, err := readFile(path, unixfs.MaxBlock+1)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	if got := sha256.Sum256(b); !bytes.Equal(got[:], want) {
		return nil, &unixfs.CorruptError{CID: c}
	}
	return b, nil
}

// Put verifies a block and stores it; when it returns, the block survives a power
// cut. To put many, use a Batch.
func (s *Store) Put(ctx context.Context, c cid.Cid, b []byte) error {
	return s.put(ctx, c, b, true)
}

func (s *Store) put(ctx context.Context, c cid.Cid, b []byte, durable bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	want, err := digest(c)
	if err != nil {
		return fmt.Errorf("store %w", err)
	}
	if len(b) > unixfs.MaxBlock {
		return fmt.Errorf("store block %s: it has %d bytes, the limit is %d", c, len(b), unixfs.MaxBlock)
	}
	if got := sha256.Sum256(b); !bytes.Equal(got[:], want) {
		return fmt.Errorf("store block %s: the bytes are not that block's", c)
	}
	if isEmptyRaw(c) {
		return nil
	}
	path := s.file(c)
	// A file of another length was cut short by a power failure.
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(b)) {
		if durable {
			err = syncFile(path)
		}
		return err
	}
	if err := s.write(path, b, durable); err != nil {
		return fmt.Errorf("store block %s: %w", c, err)
	}
	return nil
}

// PutUnsynced is Put for a block that a power cut may take: whoever needs it then
// fetches it again.
func (s *Store) PutUnsynced(ctx context.Context, c cid.Cid, b []byte) error {
	return s.put(ctx, c, b, false)
}

// PutVerified is PutUnsynced for a block whose hash the caller has verified; it
// replaces whatever the file held.
func (s *Store) PutVerified(ctx context.Context, c cid.Cid, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if isEmptyRaw(c) {
		return nil
	}
	if err := s.write(s.file(c), b, false); err != nil {
		return fmt.Errorf("store block %s: %w", c, err)
	}
	return nil
}

// temp returns a name for an unfinished file that nobody else uses.
func (s *Store) temp() string {
	return filepath.Join(s.dir, tempDir, "put-"+s.run+"-"+strconv.FormatInt(s.puts.Add(1), 36))
}

func (s *Store) write(path string, b []byte, durable bool) (err error) {
	tmp := s.temp()
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	if err := createFile(tmp, b); err != nil {
		return err
	}
	if durable {
		if err := syncFile(tmp); err != nil {
			return err
		}
	}
	if err := s.rename(tmp, path, durable); err != nil {
		return err
	}
	if durable {
		return atomicfile.SyncDir(filepath.Dir(path))
	}
	return nil
}

// rename moves a finished file into its shard, which is made for its first block.
func (s *Store) rename(temp, path string, durable bool) error {
	err := renameFile(temp, path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if durable {
		if err := atomicfile.SyncDir(s.dir); err != nil {
			return err
		}
	}
	return renameFile(temp, path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Delete removes a block that is here.
func (s *Store) Delete(ctx context.Context, c cid.Cid) error {
	if _, err := digest(c); err != nil {
		return err
	}
	if err := os.Remove(s.file(c)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete block %s: %w", c, err)
	}
	return nil
}

// All calls visit with the raw CID of every block here, in no order, until it
// fails. What kind of block each is, the store does not know.
func (s *Store) All(ctx context.Context, visit func(cid.Cid) error) error {
	shards, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a home that is not made yet has none
		return fmt.Errorf("list blocks: %w", err)
	}
	for _, shard := range shards {
		if !shard.IsDir() || strings.HasPrefix(shard.Name(), ".") {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, shard.Name()))
		if err != nil {
			return fmt.Errorf("list blocks: %w", err)
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			c, ok := blockOf(f.Name())
			if !ok {
				continue
			}
			if err := visit(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func blockOf(file string) (cid.Cid, bool) {
	name, ok := strings.CutSuffix(file, extension)
	if !ok {
		return cid.Undef, false
	}
	b, err := base32Name.DecodeString(name)
	if err != nil {
		return cid.Undef, false
	}
	mh, err := multihash.Cast(b)
	if err != nil {
		return cid.Undef, false
	}
	return cid.NewCidV1(cid.Raw, mh), true
}
