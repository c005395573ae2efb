package unixfs

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// A FileWriter stores what is written to it in the chunks that a file of a module has
// ([M1]).
type FileWriter struct {
	store  Store
	chunk  []byte
	chunks Chunks
}

// Chunks are those of one file, all stored.
type Chunks struct{ links []dagpb.Link }

// Equal reports whether two files have the same contents.
func (c Chunks) Equal(other Chunks) bool {
	return slices.EqualFunc(c.links, other.links, func(x, y dagpb.Link) bool { return x.CID == y.CID })
}

// NewFileWriter returns a FileWriter that stores its blocks in store.
func NewFileWriter(store Store) *FileWriter { return &FileWriter{store: store} }

// Writer returns what writes to the file until ctx ends.
func (w *FileWriter) Writer(ctx context.Context) io.Writer {
	return writerFunc(func(p []byte) (int, error) { return w.write(ctx, p) })
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (w *FileWriter) write(ctx context.Context, p []byte) (int, error) {
	written := 0
	for written < len(p) {
		if w.chunk == nil {
			w.chunk = make([]byte, 0, min(chunkSize, max(len(p)-written, 4<<10)))
		}
		n := min(len(p)-written, chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[written:written+n]...)
		if len(w.chunk) == chunkSize {
			if err := w.flush(ctx); err != nil {
				return 0, err
			}
		}
		written += n
	}
	return written, nil
}

// flush stores the chunk, whose memory the store may keep.
func (w *FileWriter) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := dagpb.CID(cid.Raw, w.chunk)
	if err := w.store.Put(ctx, c, w.chunk); err != nil {
		return fmt.Errorf("put block %s: %w", c, err)
	}
	w.chunks.links = append(w.chunks.links, dagpb.Link{CID: c, Tsize: uint64(len(w.chunk))})
	w.chunk = nil
	return nil
}

// Chunks stores the last chunk and returns all, for Builder.Chunked.
func (w *FileWriter) Chunks(ctx context.Context) (Chunks, error) {
	if len(w.chunk) > 0 {
		if err := w.flush(ctx); err != nil {
			return Chunks{}, err
		}
	}
	return w.chunks, nil
}

// Finish returns the root of the file, as it would be in a module.
func (w *FileWriter) Finish(ctx context.Context) (cid.Cid, error) {
	chunks, err := w.Chunks(ctx)
	if err != nil {
		return cid.Undef, fmt.Errorf("store file: %w", err)
	}
	root, err := NewBuilder(w.store).Chunked(ctx, chunks, false)
	if err != nil {
		return cid.Undef, fmt.Errorf("store file: %w", err)
	}
	return root.cid, nil
}

// Chunked stores the file whose chunks a FileWriter has stored.
func (b *Builder) Chunked(ctx context.Context, chunks Chunks, exec bool) (Root, error) {
	for _, l := range chunks.links {
		b.count(l.CID, int(l.Tsize))
	}
	return b.file(ctx, chunks.links, exec)
}
