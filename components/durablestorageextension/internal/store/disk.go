package store

import (
	"errors"
	"io"
	"os"
)

// Disk is what a store does to a file system. There is one for tests, too, that fails and dies.
type Disk interface {
	Open(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a directory outlive a power cut.
	SyncDir(name string) error
}

// File is an open one.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

type fileSystem struct{}

func (fileSystem) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err // and no File
	}
	return f, nil
}

func (fileSystem) Rename(from, to string) error { return os.Rename(from, to) }

func (fileSystem) Remove(name string) error { return os.Remove(name) }

func (fileSystem) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
