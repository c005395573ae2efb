package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/records"
)

// VerifyStats says how much VerifyStored looked at.
type VerifyStats struct {
	Keys       int64
	Records    int64
	Blocks     int64
	Bytes      int64 // of blocks
	Modules    int64 // with every block here
	Incomplete int64 // others' modules of which some blocks are here: a fetch goes on there
}

// DamageKind is a kind of thing that is stored.
type DamageKind string

// What may be damaged.
const (
	DamagedKey    DamageKind = "key"
	DamagedRecord DamageKind = "record"
	DamagedIndex  DamageKind = "index" // what follows from keys and records
	DamagedBlock  DamageKind = "block"
	DamagedModule DamageKind = "module"
)

// Damage is something stored that is not what it must be.
type Damage struct {
	Kind   DamageKind
	ID     string              // fingerprint, record id, CID or file; may be ""
	Author records.Fingerprint // of a record
	Reason string

	index fsck.Damage
	file  string // of a block
}

// Repairable reports whether Quarantine helps.
func (d Damage) Repairable() bool { return d.Kind != DamagedModule && !d.index.File() }

// Verify reads everything that the home stores again: the index as
// fsck.Verify does, every block, and whether the modules of own releases are
// complete. It calls found with what is damaged and step with how far it is, out of
// a total that is 0 where it is not known, from one goroutine at a time. It writes
// nothing, needs no network, and others may use the home meanwhile.
func Verify(ctx context.Context, h *Home, step func(kind DamageKind, done, total int64), found func(Damage)) (VerifyStats, error) {
	var s VerifyStats
	unreadable := false
	looked, err := fsck.Verify(ctx, h.index, func(done, total int64) { step(DamagedRecord, done, total) }, func(d fsck.Damage) {
		unreadable = unreadable || d.File()
		found(indexDamage(d))
	})
	s.Keys, s.Records = looked.Keys, looked.Records
	if err != nil {
		return s, err
	}
	s.Blocks, s.Bytes, err = h.blocks.Verify(ctx, func(done int64) { step(DamagedBlock, done, 0) }, func(d blocks.Damage) {
		found(Damage{Kind: DamagedBlock, ID: d.ID, Reason: d.Reason, file: d.File})
	})
	if err != nil || unreadable {
		return s, err
	}
	err = h.index.EachModule(ctx, func(module cid.Cid, own bool) error { return s.module(ctx, h.blocks, module, own, found) })
	return s, err
}

func indexDamage(d fsck.Damage) Damage {
	out := Damage{Kind: DamagedIndex, Reason: d.Reason, index: d}
	switch {
	case d.File():
		out.ID = "index.db"
	case d.Record.Defined():
		out.Kind, out.ID, out.Author = DamagedRecord, d.Record.String(), d.Key
	case !d.Key.IsZero():
		out.Kind, out.ID = DamagedKey, d.Key.String()
	}
	return out
}

// module counts a module that is here, whole or in part. What was released here must
// be whole: nobody else may have it.
func (s *VerifyStats) module(ctx context.Context, store *blocks.Store, module cid.Cid, own bool, found func(Damage)) error {
	here, err := store.Has(ctx, module)
	if err != nil || !here && !own {
		return nil // such a CID can be no module; it is the releasing author's matter
	}
	whole, err := store.Complete(ctx, module)
	malformed := errors.As(err, new(*blocks.TreeError))
	switch {
	case malformed && own:
		found(Damage{Kind: DamagedModule, ID: module.String(), Reason: "released here, and " + err.Error()})
	case malformed: // nothing of it is missing or damaged: it is the releasing author's matter
	case err != nil:
		return fmt.Errorf("verify module %s: %w", module, err)
	case whole:
		s.Modules++
	case own:
		found(Damage{Kind: DamagedModule, ID: module.String(), Reason: "released here, and some of its blocks are missing or damaged"})
	default:
		s.Incomplete++
	}
	return nil
}

// QuarantineDir returns where Quarantine puts what it takes out.
func (h *Home) QuarantineDir() string { return filepath.Join(h.dir, "damaged") }

// Quarantine moves what VerifyStored found to be damaged out of the way, to QuarantineDir, so
// that it is fetched again when it is next needed, and makes what can be made again
// from the rest. It returns how many things it moved. Nothing is deleted.
func (h *Home) Quarantine(ctx context.Context, damage []Damage) (moved int, err error) {
	if err := os.MkdirAll(h.QuarantineDir(), 0o700); err != nil {
		return 0, fmt.Errorf("set aside: %w", err)
	}
	var spoilt []fsck.Damage
	for _, d := range damage {
		switch d.Kind {
		case DamagedBlock:
			n, err := h.quarantineBlock(ctx, d.file)
			if err != nil {
				return moved, fmt.Errorf("set aside: %w", err)
			}
			moved += n
		case DamagedModule:
		default:
			if d.index.File() {
				return moved, fmt.Errorf("set aside: %s is damaged as a whole", filepath.Join(h.dir, "index.db"))
			}
			spoilt = append(spoilt, d.index)
		}
	}
	if len(spoilt) == 0 {
		return moved, nil
	}
	err = fsck.Repair(ctx, h.index, spoilt, func(name string, b []byte) error {
		moved++
		path, err := h.unusedPath(name)
		if err != nil {
			return err
		}
		return atomicfile.Replace(path, b)
	})
	return moved, err
}

// quarantineBlock moves a block's file, unless a fetch has put the right one there.
func (h *Home) quarantineBlock(ctx context.Context, file string) (moved int, err error) {
	if d, _ := h.blocks.CheckFile(ctx, file); d == nil {
		return 0, nil
	}
	path, err := h.unusedPath(filepath.Base(file))
	if err != nil {
		return 0, err
	}
	if err := os.Rename(file, path); err != nil {
		return 0, ignoreGone(err)
	}
	return 1, nil
}

// unusedPath returns a path in QuarantineDir that nothing is at.
func (h *Home) unusedPath(name string) (string, error) {
	for i := 0; ; i++ {
		path := filepath.Join(h.QuarantineDir(), name)
		if i > 0 {
			path += fmt.Sprintf(".%d", i)
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
}
