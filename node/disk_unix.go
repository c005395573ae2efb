//go:build unix

package node

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes this user may still write beside path.
func freeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
