package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
)

// lockWait is how long Update waits for another editor.
const lockWait = 5 * time.Second

// Load reads the trust file at path. A file that does not exist is empty: nobody
// is trusted.
func Load(path string) (*Policy, error) { return load(path, Parse) }

func load(path string, parse func([]byte) (*Policy, error)) (*Policy, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read trust file: %w", err)
	}
	p, err := parse(b)
	if err != nil {
		return nil, located(path, err)
	}
	return p, nil
}

// maxQuoted is how much of a line is shown, in bytes.
const maxQuoted = 120

// located says in an error which file and which line it is about.
func located(path string, err error) error {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("%s: %w", path, err)
	}
	syntax.Path = path
	if syntax.Raw == "" {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w (the line is %.*q)", path, err, maxQuoted, syntax.Raw)
}

// Survey reads the trust file at path as far as it can be read, and says which lines
// cannot. It is for showing the file: no decision may be made by a file with such lines.
func LoadPartial(path string) (p *Policy, broken []*SyntaxError, err error) {
	b, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read trust file: %w", err)
	}
	p, broken = parsePartial(b)
	for _, e := range broken {
		e.Path = path // as located does
	}
	return p, broken, nil
}

// RemoveLine takes one line out of the trust file at path, whether it can be read or not,
// and returns it. It is an error when there is no such line.
func RemoveLine(ctx context.Context, path string, n int) (string, error) {
	var gone string
	err := update(ctx, path, func(b []byte) (*Policy, error) {
		p, _ := parsePartial(b)
		return p, nil
	}, func(p *Policy) error {
		if n < 1 || n > len(p.lines) {
			return fmt.Errorf("%s has %d lines, and no line %d", path, len(p.lines), n)
		}
		gone = strings.TrimRight(p.lines[n-1].raw, "\r\n")
		p.lines = slices.Delete(p.lines, n-1, n)
		return nil
	})
	return gone, err
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
// Update of the same file, by any process, waits its turn for up to 5 seconds, or until
// its ctx ends.
// When edit fails or changes nothing, the file is not touched.
func Update(ctx context.Context, path string, edit func(*Policy) error) error {
	return update(ctx, path, Parse, edit)
}

func update(ctx context.Context, path string, parse func([]byte) (*Policy, error), edit func(*Policy) error) error {
	// A trust file kept elsewhere and linked to stays a link.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	unlock, err := filelock.Wait(ctx, path+".lock", lockWait)
	if err != nil {
		return fmt.Errorf("lock trust file: %w", err)
	}
	defer unlock()
	p, err := load(path, parse)
	if err != nil {
		return err
	}
	before := p.Bytes()
	if err := edit(p); err != nil {
		return err
	}
	after := p.Bytes()
	if bytes.Equal(before, after) {
		return nil
	}
	// Whatever the edit did, the next reader must be able to read it.
	if _, err := parse(after); err != nil {
		return fmt.Errorf("edit trust file: %w", err)
	}
	if err := atomicfile.Replace(path, after); err != nil {
		return fmt.Errorf("write trust file: %w", err)
	}
	return nil
}
