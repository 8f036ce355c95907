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
	Capacity  int64 // bytes that the queues with a limit in bytes may hold, all together
	Owned     int64 // bytes of files that components of the configuration have
	Orphaned  int64 // bytes of files that none has
	SetAside  int64 // bytes of files that could not be read and were set aside
}

// Disk looks at the directories of a model, as often as it is asked. Safe for concurrent use.
type Disk struct {
	share       float64
	directories []*directory
	types       []string
	idle        map[string]bool // exporters that are configured and in no pipeline

	mu    sync.Mutex
	seen  map[string]lookup
	stat  func(string) (Volume, error)
	locks func(string) bool
}

// lookup is what was found in a file that belongs to nobody.
type lookup struct {
	size     int64
	contents Contents
	err      error
}

// Disk is the part of a model that is on disk. share is how much of a volume the queues may fill.
func (m *Model) Disk(share float64) *Disk {
	d := &Disk{share: share, directories: m.directories(), types: m.types(), idle: map[string]bool{}, seen: map[string]lookup{}, stat: statVolume, locks: isLocked}
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
		d.files(dir, &u, opened, &f)
		d.volume(dir, &u, &f)
		usages = append(usages, u)
	}
	return f.list, usages
}

func (d *Disk) files(dir *directory, u *Usage, opened bool, f *findings) {
	entries, err := os.ReadDir(dir.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // which the storage extension makes, or complains about itself
			f.add(DirectoryUnreadable, dir.path, "cannot be listed: "+err.Error(), "let the collector's user read it, or orphaned queues stay unseen")
		}
		return
	}
	inUse := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir.path, e.Name())
		kind, client := kindOf(e.Name())
		switch {
		case kind == foreign:
		case kind == setAside:
			u.SetAside += info.Size()
			f.add(SetAsideFile, path, fmt.Sprintf("was damaged and set aside (%s): %s; what was in it is not delivered", bytesOf(info.Size()), parse(client, d.types)),
				"find out why (a disk that fails, a volume that was full), save what you need, then delete it or move it away")
		case kind == scratch:
		case dir.owns(e.Name()):
			u.Owned += info.Size()
			if !opened && !strings.HasPrefix(e.Name(), "extension_") && d.locks(path) { // extensions are started, and may have theirs
				inUse++
			}
		case kind == hashed && dir.mayOwnHash():
		default:
			u.Orphaned += info.Size()
			d.orphan(dir, path, info.Size(), f)
		}
	}
	if inUse > 0 {
		f.add(DirectoryInUse, dir.path, fmt.Sprintf("%d of its files are open in another process: a second collector has the same directory", inUse),
			"give each collector a directory of its own, or stop the other one first")
	}
}

// orphan reports a file that no component of the configuration opens.
func (d *Disk) orphan(dir *directory, path string, size int64, f *findings) {
	s, ok := d.seen[path]
	if !ok || s.size != size {
		s = lookup{size: size}
		if size > 0 { // else it was made and never used
			s.contents, s.err = look(path)
		}
		d.seen[path] = s
	}
	file := filepath.Base(path)
	o := parse(file, d.types)
	whose := o.String()
	if isHash(file) {
		whose = "the file of a component with a long name"
	}
	what := fmt.Sprintf("%s, %s, belongs to no component of the configuration", bytesOf(size), whose)
	if d.idle[o.id] && o.kind == "exporter" {
		what += " (the exporter is configured, but in no pipeline)"
	}
	const remove = "delete it, or move it away"
	switch {
	case errors.Is(s.err, errInUse):
		f.add(DirectoryInUse, path, what+", and another process has it open: a second collector has the same directory", "give each collector a directory of its own")
	case s.err != nil:
		f.add(OrphanedQueue, path, what+"; "+s.err.Error(), "if nobody needs it, "+remove)
	case s.contents.Items > 0:
		more := ""
		if s.contents.More {
			more = "at least "
		}
		f.add(OrphanedQueue, path, fmt.Sprintf("%s: %s%d requests that were acknowledged wait in it and are never sent", what, more, s.contents.Items), drain(dir, o)+", or accept it if the data is not wanted, or "+remove)
	default:
		f.add(OrphanedFile, path, what+"; nothing waits in it to be sent", remove)
	}
}

// drain says how an orphaned queue comes to be sent.
func drain(dir *directory, o owner) string {
	var heir string
	for _, q := range dir.queues {
		if q.signal != o.signal {
			continue
		}
		if heir != "" {
			heir = "" // several: whose it becomes is not ours to say
			break
		}
		heir = q.file
	}
	if heir == "" {
		return fmt.Sprintf("give the exporter its old name (%s) until it is empty", o.id)
	}
	return fmt.Sprintf("give the exporter its old name (%s) until it is empty; or, if it was renamed and before the new one has taken anything, stop the collector and rename the file to %s", o.id, heir)
}

func (d *Disk) volume(dir *directory, u *Usage, f *findings) {
	for _, q := range dir.queues {
		u.Capacity += q.bytes
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
		f.add(QueuesExceedVolume, dir.path, fmt.Sprintf("its %d queues may hold %s, and %.3g of the volume is %s: files are larger than what is in them, and a full volume stops every queue",
			len(dir.queues), bytesOf(u.Capacity), d.share, bytesOf(most)), "lower sending_queue::queue_size of the exporters (each has one queue for each signal), or enlarge the volume")
	} else if u.Capacity > v.Free+u.Owned {
		f.add(VolumeLow, dir.path, fmt.Sprintf("its %d queues may hold %s, and there is room for %s: something else fills the volume", len(dir.queues), bytesOf(u.Capacity), bytesOf(v.Free+u.Owned)),
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
