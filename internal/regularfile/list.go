package regularfile

import (
	"encoding/json"
	"errors"
	"io/fs"
)

// ReadList reads a JSON array that a program keeps and can do without: a file that is
// not there, has more than limit bytes or cannot be understood counts as empty.
func ReadList[T any](path string, limit int64) ([]T, error) {
	b, err := Read(path, limit)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*SizeError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []T
	if json.Unmarshal(b, &all) != nil {
		return nil, nil
	}
	return all, nil
}
