package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Usage is what a directory has and what it may take.
type Usage struct {
	Directory string
	Volume    Volume
	Known     bool  // the volume could be asked
	Capacity  int64 // bytes that the queues and journals with a limit in bytes may hold, all together
	Owned     int64 // bytes of what components of the configuration have
	Orphaned  int64 // bytes of what none has
	SetAside  int64 // bytes of files that could not be read and were set aside
}

// Disk looks at the directories of a model, as often as it is asked. Safe for concurrent use.
type Disk struct {
	share       float64
	directories []*directory
	types       []string
	idle        map[string]bool // exporters that are configured and in no pipeline

	mu     sync.Mutex
	seen   map[string]lookup
	stat   func(string) (Volume, error)
	locks  func(string) bool
	folder func(string) (Contents, error)
}

// Disk is the part of a model that is on disk. share is how much of a volume the queues may fill, folder looks into one of durable_storage's.
func (m *Model) Disk(share float64, folder func(path string) (Contents, error)) *Disk {
	d := &Disk{share: share, directories: m.directories(), types: m.types(), idle: map[string]bool{}, seen: map[string]lookup{}, stat: statVolume, locks: isLocked, folder: folder}
	for id := range asMap(m.config["exporters"]) {
		_, used := m.use("exporters", id)
		d.idle[id] = !used
	}
	return d
}

// Scan looks at every directory. With opened, the collector itself has its files open, and locks say nothing.
func (d *Disk) Scan(opened bool) ([]Finding, []Usage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var f findings
	usages := make([]Usage, 0, len(d.directories))
	for _, dir := range d.directories {
		u := Usage{Directory: dir.path}
		d.entries(dir, &u, opened, &f)
		d.volume(dir, &u, &f)
		usages = append(usages, u)
	}
	return f.list, usages
}

func (d *Disk) entries(dir *directory, u *Usage, opened bool, f *findings) {
	entries, err := os.ReadDir(dir.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // which the storage extension makes, or complains about itself
			f.add(DirectoryUnreadable, dir.path, "cannot be listed: "+err.Error(), "let the collector's user read it, or orphaned queues stay unseen")
		}
		return
	}
	inUse := 0
	for _, e := range entries {
		path := filepath.Join(dir.path, e.Name())
		have, bytes, ok := measure(path, e)
		kind, client := kindOf(e.Name())
		if !ok || kind == foreign || kind == scratch {
			continue
		}
		want, owned := dir.owns(e.Name())
		switch {
		case kind == setAside:
			u.SetAside += bytes
			f.add(SetAsideFile, path, fmt.Sprintf("was damaged and set aside (%s): %s; what was in it is not delivered", bytesOf(bytes), parse(client, d.types)),
				"find out why (a disk that fails, a volume that was full), save what you need, then delete it or move it away")
		case owned && want != have:
			u.Orphaned += bytes
			f.add(OtherStorage, path, fmt.Sprintf("was made by %s (%s), and %s is to keep %s under the same name: neither can use the other's, and the collector does not start",
				have, bytesOf(bytes), want, parse(e.Name(), d.types)), fmt.Sprintf("start with %s until the queue is empty, then delete it; or move it away", have))
		case owned:
			u.Owned += bytes
			if !opened && !strings.HasPrefix(e.Name(), "extension_") && d.isLocked(path, have) { // extensions are started, and may have theirs
				inUse++
			}
		case kind == hashed && dir.mayOwnHash():
		default:
			u.Orphaned += bytes
			d.orphan(dir, path, have, bytes, f)
		}
	}
	if inUse > 0 {
		f.add(DirectoryInUse, dir.path, fmt.Sprintf("another process has %d of its queues and states open: a second collector has the same directory", inUse),
			"give each collector a directory of its own, or stop the other one first")
	}
}

// measure says which storage makes such an entry, and how large it is. ok is false for what neither makes.
func measure(path string, e fs.DirEntry) (have form, bytes int64, ok bool) {
	info, err := e.Info()
	switch {
	case err != nil:
		return "", 0, false
	case info.Mode().IsRegular():
		return aFile, info.Size(), true
	case !info.IsDir():
		return "", 0, false
	}
	inside, err := os.ReadDir(path)
	for _, e := range inside {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return aFolder, bytes, err == nil
}

func (d *Disk) isLocked(path string, have form) bool {
	if have == aFolder {
		path = filepath.Join(path, "lock")
	}
	return d.locks(path)
}

func (d *Disk) volume(dir *directory, u *Usage, f *findings) {
	u.Capacity = dir.journals
	for _, q := range dir.queues {
		u.Capacity += q.bytes
	}
	whose := count(len(dir.queues), "queue")
	if dir.journals > 0 {
		whose += " and journals"
	}
	v, err := d.stat(existing(dir.path))
	if err != nil {
		return
	}
	u.Volume, u.Known = v, true
	if v.Ephemeral != "" {
		f.add(DirectoryEphemeral, dir.path, "is on "+v.Ephemeral+": what is in it is gone when that is", "put it on a volume that outlives the container (a PersistentVolumeClaim, or a hostPath)")
	}
	most := int64(float64(v.Size) * d.share)
	if u.Capacity > most {
		f.add(QueuesExceedVolume, dir.path, fmt.Sprintf("%s may hold %s, and %.3g of the volume is %s: they take up more than what is in them, and a full volume stops every queue",
			whose, bytesOf(u.Capacity), d.share, bytesOf(most)), "lower sending_queue::queue_size of the exporters (each has one queue for each signal), or enlarge the volume")
	} else if u.Capacity > v.Free+u.Owned {
		f.add(VolumeLow, dir.path, fmt.Sprintf("%s may hold %s, and there is room for %s: something else fills the volume", whose, bytesOf(u.Capacity), bytesOf(v.Free+u.Owned)),
			"make room, or lower sending_queue::queue_size of the exporters")
	}
}

// existing is the directory, or the nearest one above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// bytesOf is a size for people.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
