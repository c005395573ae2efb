package node

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
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules"
)

// The layout is flatfs's, as kubo has it in blocks/ (SPEC.md [N10]). flatfs itself
// cannot be opened by two processes: opening it removes the other's unfinished
// files, and its size cache is written by both.
const (
	shardFile  = "SHARDING"
	shardText  = "/repo/flatfs/shard/v1/next-to-last/2\n"
	blockExt   = ".data"
	blockTemp  = ".es-temp" // flatfs passes over names that begin with a dot
	tempMaxAge = time.Hour
	syncers    = 16 // blocks that Commit writes out at once
)

// BlockStore keeps blocks of up to 2 MiB by their SHA2-256, one file each.
// Processes may share one directory; a block is there whole or not at all. It
// implements modules.Blocks, modules.Sizer and modules.Store.
//
// The empty raw block is always there, and needs no file.
type BlockStore struct {
	dir  string
	run  string // in the names of this process's unfinished files
	puts atomic.Int64
}

// OpenBlocks opens the block store in dir, and makes it if there is none.
func OpenBlocks(dir string) (*BlockStore, error) {
	if err := os.MkdirAll(filepath.Join(dir, blockTemp), 0o700); err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	shard := filepath.Join(dir, shardFile)
	b, err := os.ReadFile(shard)
	if errors.Is(err, fs.ErrNotExist) {
		if err = replaceFile(shard, []byte(shardText)); err == nil {
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
	if info, err := os.Lstat(filepath.Join(dir, blockTemp)); err != nil || !info.IsDir() {
		return nil, cmp.Or(err, fmt.Errorf("open block store: %s is no directory", filepath.Join(dir, blockTemp)))
	}
	s := &BlockStore{dir: dir, run: rand.Text()}
	s.sweep(time.Now().Add(-tempMaxAge))
	return s, nil
}

// readBlocks opens the block store in dir as it is, for reading alone.
func readBlocks(dir string) (*BlockStore, error) {
	if b, err := os.ReadFile(filepath.Join(dir, shardFile)); err == nil && string(b) != shardText {
		return nil, shardError(dir, b)
	}
	return &BlockStore{dir: dir, run: rand.Text()}, nil
}

func shardError(dir string, b []byte) error {
	return fmt.Errorf("open block store: %s says %.60q, this es knows %q", filepath.Join(dir, shardFile), b, shardText)
}

// sweep removes unfinished files that are older than a Put can take.
func (s *BlockStore) sweep(before time.Time) {
	entries, err := os.ReadDir(filepath.Join(s.dir, blockTemp))
	if err != nil {
		return // it only costs space
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			os.Remove(filepath.Join(s.dir, blockTemp, e.Name()))
		}
	}
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

func (s *BlockStore) file(c cid.Cid) string {
	name := base32Name.EncodeToString(c.Hash())
	return filepath.Join(s.dir, name[len(name)-3:len(name)-1], name+blockExt)
}

// Path returns the file that holds exactly the bytes of the raw block c, for
// linking or copying, and whether there is one. Its contents were verified when
// it was written, not now.
func (s *BlockStore) Path(c cid.Cid) (string, bool) {
	if _, err := digest(c); err != nil || c.Prefix().Codec != cid.Raw {
		return "", false
	}
	path := s.file(c)
	info, err := os.Lstat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// Has reports whether the block is here. It does not read it.
func (s *BlockStore) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.Size(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Size returns the block's length in bytes without reading it. The error is
// fs.ErrNotExist when the block is not here.
func (s *BlockStore) Size(ctx context.Context, c cid.Cid) (int, error) {
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
func (s *BlockStore) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	want, err := digest(c)
	if err != nil {
		return nil, err
	}
	if isEmptyRaw(c) {
		return []byte{}, nil
	}
	path := s.file(c)
	b, err := readBlockFile(path, modules.MaxBlock+1)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	if got := sha256.Sum256(b); !bytes.Equal(got[:], want) {
		return nil, &modules.CorruptError{CID: c}
	}
	return b, nil
}

// Put verifies a block and stores it; when it returns, the block survives a power
// cut. To put many, use a Batch.
func (s *BlockStore) Put(ctx context.Context, c cid.Cid, b []byte) error {
	return s.put(ctx, c, b, true)
}

func (s *BlockStore) put(ctx context.Context, c cid.Cid, b []byte, durable bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	want, err := digest(c)
	if err != nil {
		return fmt.Errorf("store %w", err)
	}
	if len(b) > modules.MaxBlock {
		return fmt.Errorf("store block %s: it has %d bytes, the limit is %d", c, len(b), modules.MaxBlock)
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

// putVerified stores a block whose hash the caller has verified, in place of
// whatever the file held.
func (s *BlockStore) putVerified(ctx context.Context, c cid.Cid, b []byte) error {
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
func (s *BlockStore) temp() string {
	return filepath.Join(s.dir, blockTemp, "put-"+s.run+"-"+strconv.FormatInt(s.puts.Add(1), 36))
}

func (s *BlockStore) write(path string, b []byte, durable bool) (err error) {
	tmp := s.temp()
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	if err := createBlockFile(tmp, b); err != nil {
		return err
	}
	if durable {
		if err := syncFile(tmp); err != nil {
			return err
		}
	}
	dir := filepath.Dir(path)
	err = renameBlockFile(tmp, path)
	if errors.Is(err, fs.ErrNotExist) { // the first block of this shard
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if durable {
			if err := syncDir(s.dir); err != nil {
				return err
			}
		}
		err = renameBlockFile(tmp, path)
	}
	if err != nil {
		return err
	}
	if durable {
		return syncDir(dir)
	}
	return nil
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
func (s *BlockStore) Delete(ctx context.Context, c cid.Cid) error {
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
func (s *BlockStore) All(ctx context.Context, visit func(cid.Cid) error) error {
	shards, err := os.ReadDir(s.dir)
	if ignoreGone(err) != nil { // a home that is not made yet has none
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
	name, ok := strings.CutSuffix(file, blockExt)
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

// Batch returns a Store whose blocks survive a power cut from Commit on, and are
// here for everybody at once.
func (s *BlockStore) Batch() *Batch { return &Batch{store: s, put: map[string]bool{}} }

// A Batch is several blocks that become durable together. It implements
// modules.Store.
type Batch struct {
	store *BlockStore

	mu  sync.Mutex
	put map[string]bool // by path
}

// Put stores a block.
func (b *Batch) Put(ctx context.Context, c cid.Cid, block []byte) error {
	if err := b.store.put(ctx, c, block, false); err != nil {
		return err
	}
	if !isEmptyRaw(c) {
		b.mu.Lock()
		b.put[b.store.file(c)] = true
		b.mu.Unlock()
	}
	return nil
}

// Commit makes what was put durable. The Batch may be used again.
func (b *Batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	dirs := map[string]bool{b.store.dir: true}
	files, fctx := errgroup.WithContext(ctx)
	files.SetLimit(syncers)
	for path := range b.put {
		dirs[filepath.Dir(path)] = true
		files.Go(func() error {
			if err := fctx.Err(); err != nil {
				return err
			}
			return syncFile(path)
		})
	}
	if err := files.Wait(); err != nil {
		return fmt.Errorf("write blocks to disk: %w", err)
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("write blocks to disk: %w", err)
		}
	}
	clear(b.put)
	return nil
}
