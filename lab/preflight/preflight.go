// Package preflight looks at the machine before the lab changes anything on it: programs and headers that must be
// there, free disk space, free ports, root. It promises that whatever it finds wrong becomes one clear sentence that
// says what to do about it, and that it changes nothing itself, except for Install, which the user asks for.
package preflight

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Root returns an error unless the program runs as root. The reason says what root is needed for.
func Root(reason string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("root is needed for %s: run it again with sudo", reason)
}

// Space returns an error unless the file system that holds a folder, or will hold it once it is made, has at least
// the given number of bytes free for its user.
func Space(dir string, need uint64, reason string) error {
	existing, err := nearest(dir)
	if err != nil {
		return err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(existing, &stat); err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", existing, err)
	}
	free := stat.Bavail * uint64(stat.Bsize)
	if free >= need {
		return nil
	}
	return fmt.Errorf("%s has %s free and %s needs %s: make room there, or choose another place",
		existing, gigabytes(free), reason, gigabytes(need))
}

// nearest returns the folder itself or the first one above it that exists.
func nearest(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the file system of %s: %w", dir, err)
	}
	for {
		_, err := os.Stat(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the file system of %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

func gigabytes(n uint64) string {
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
