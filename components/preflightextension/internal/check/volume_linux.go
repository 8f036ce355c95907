package check

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ephemeral are file systems that do not outlive a container or a machine.
var ephemeral = map[int64]string{
	unix.TMPFS_MAGIC:           "tmpfs, which is memory",
	unix.RAMFS_MAGIC:           "ramfs, which is memory",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay, which is the container's own layer",
}

func statVolume(path string) (Volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Volume{}, err
	}
	unit := int64(s.Bsize) //nolint:unconvert // 32 bits on some architectures
	return Volume{
		Size:      int64(s.Blocks) * unit,   //nolint:gosec // as the kernel has it
		Free:      int64(s.Bavail) * unit,   //nolint:gosec // as the kernel has it
		Ephemeral: ephemeral[int64(s.Type)], //nolint:unconvert // 32 bits on some architectures
	}, nil
}

// isLocked says whether a process has a storage file open: bbolt holds a lock on each.
func isLocked(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	fd := int(file.Fd()) //nolint:gosec // small
	err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		_ = unix.Flock(fd, unix.LOCK_UN)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// release gives up the lock on a file and closes it. Closing alone would not do: a mapping that is left keeps the lock.
func release(file *os.File) {
	if file != nil {
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN) //nolint:gosec // small
		_ = file.Close()
	}
}
