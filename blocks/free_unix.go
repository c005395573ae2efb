//go:build unix

package blocks

import "golang.org/x/sys/unix"

// FreeSpace returns how many bytes this user may still write beside path.
func FreeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
