package check

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Contents is what a storage extension keeps for one component.
type Contents struct {
	Items int  // of a queue: requests that were taken and not delivered
	Keys  int  // other than a queue's own
	More  bool // counting stopped
}

// ErrInUse says that a process, this one or another, has a file or a folder open.
var ErrInUse = errors.New("it is open in another process")

// maxKeys bounds how long one file may be looked at: each key may cost one read of the disk.
const maxKeys = 10_000

// lockTimeout is how long to wait for a process to let go of a file that is none of the configuration's.
const lockTimeout = 50 * time.Millisecond

// look reads a file of file_storage without changing it. A damaged one is an error, not a crash: bbolt panics on what it does not expect, and the kernel
// faults where a file is shorter than it says.
func look(path string) (c Contents, err error) {
	var file *os.File
	faults := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(faults)
		if r := recover(); r != nil {
			err = fmt.Errorf("it is damaged: %v", r)
		}
		release(file) // bbolt leaves it open, mapped and so locked when it cannot make sense of it
	}()
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout, OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return c, ErrInUse
	}
	if err != nil {
		return c, fmt.Errorf("it cannot be read: %w", err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return c.count(b) })
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return c, errors.Join(err, db.Close())
}

var errEnough = errors.New("enough")

func (c *Contents) count(b *bbolt.Bucket) error {
	return b.ForEach(func(key, _ []byte) error {
		if c.Items+c.Keys >= maxKeys {
			c.More = true
			return errEnough
		}
		switch string(key) {
		case "qmv0", "ri", "wi", "di": // the queue's own numbers
			return nil
		}
		if _, err := strconv.ParseUint(string(key), 10, 64); err == nil {
			c.Items++
		} else {
			c.Keys++
		}
		return nil
	})
}
