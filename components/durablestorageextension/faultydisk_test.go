package durablestorageextension

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// faultyDisk is a fake, because no real disk can be told when to fail: real files, but there is room for so many bytes only, any change may fail,
// and after so many changes more the process is dead, in the middle of one when it is a write.
type faultyDisk struct {
	mu    sync.Mutex
	r     *rand.Rand
	dir   string
	room  int64
	fails float64 // how likely any change fails
	lives int     // changes that are left
	// undone: what failed may be there all the same, because to cut it off failed, too.
	undone bool
}

var errInjected = errors.New("injected")

func (d *faultyDisk) dead() bool { return d.lives <= 0 }

// change is whether one fails.
func (d *faultyDisk) change() error {
	if d.lives--; d.dead() || d.r.Float64() < d.fails {
		return errInjected
	}
	return nil
}

func (d *faultyDisk) used() (sum int64) {
	files, _ := filepath.Glob(filepath.Join(d.dir, "*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func (d *faultyDisk) Open(name string, flag int) (store.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil && flag&os.O_CREATE > 0 {
		return nil, err
	}
	f, err := os.OpenFile(name, flag, 0o600)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (d *faultyDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	return os.Remove(name)
}

func (d *faultyDisk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change()
}

type faultyFile struct {
	*os.File
	d *faultyDisk
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.dead() {
		return 0, errInjected
	}
	err := f.d.change()
	part := len(b)
	if err != nil {
		part = f.d.r.IntN(len(b) + 1)
	}
	info, _ := f.Stat()
	if most := info.Size() + f.d.room - f.d.used() - at; at+int64(part) > info.Size() && int64(part) > most {
		part, err = int(max(most, 0)), syscall.ENOSPC
	}
	n, writeErr := f.File.WriteAt(b[:part], at)
	return n, errors.Join(err, writeErr)
}

func (f *faultyFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.change(); err != nil {
		f.d.undone = true
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.d.change()
}
