package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse says that a process has a directory open.
var ErrInUse = errors.New("another process has it open")

// Look calls f with each key of a directory and the length of its value, for somebody who does not own it: it changes nothing and waits for
// nobody. What is damaged is left out.
func Look(dir string, f func(key string, size int)) error {
	if lock, err := os.Open(filepath.Join(dir, "lock")); err == nil {
		defer lock.Close()
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) { //nolint:gosec // a file descriptor is an int
			return ErrInUse
		}
	}
	s := &Store{dir: dir, places: map[string]place{}}
	segments, err := s.list()
	for _, g := range segments {
		content, readErr := os.ReadFile(g.name)
		err = errors.Join(err, readErr)
		scan(content, g.seed, func(_ uint64, body []byte, at int) {
			changes(body, func(w Write, in int) { s.put(g, w, int64(at+in)) })
		})
	}
	s.Keys(f)
	return err
}
