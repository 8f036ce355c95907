package check

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// isShared says whether anybody holds any lock on a file, a shared one included.
func isShared(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) //nolint:gosec // small
}
