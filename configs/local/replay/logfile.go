package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	rotateAt    = 1 << 20
	keepRotated = 4 // kubelet's default: 5 files with the live one
)

// logFile is a container's log file. It rotates as its owner in a cluster would, only earlier: the kubelet renames
// 0.log to 0.log.20260302-093000, Docker renames x-json.log to x-json.log.1.
type logFile struct {
	path string
	f    *os.File
	size int
}

func openLogFile(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	return &logFile{path: path, f: f}, err
}

// write appends a line in one piece. Like its models it does not care whether a rotation falls into a partial record.
func (l *logFile) write(line []byte, now time.Time) error {
	if l.size > 0 && l.size+len(line) > rotateAt {
		if err := l.rotate(now); err != nil {
			return err
		}
	}
	n, err := l.f.Write(line)
	l.size += n
	return err
}

func (l *logFile) rotate(now time.Time) error {
	rotated := l.path + ".1"
	if !strings.HasSuffix(l.path, "-json.log") {
		rotated = l.path + "." + now.Format("20060102-150405")
		if _, err := os.Stat(rotated); !errors.Is(err, fs.ErrNotExist) {
			return err // the second rotation within a second waits for the next
		}
	}
	if err := l.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(l.path, rotated); err != nil {
		return err
	}
	next, err := openLogFile(l.path)
	if err != nil {
		return err
	}
	*l = *next
	return l.removeOldest()
}

func (l *logFile) removeOldest() error {
	old, err := filepath.Glob(l.path + ".2*")
	if err != nil {
		return err
	}
	slices.Sort(old) // the oldest first: the suffix is the time
	for len(old) > keepRotated {
		if err := os.Remove(old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	return nil
}

func (l *logFile) close() { _ = l.f.Close() }
