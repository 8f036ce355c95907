package containerlogprocessor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/logpath"
)

// pause is how often a wait looks again.
const pause = 10 * time.Millisecond

// awaitRotated holds a file's first batch back until the file before it has been read to its end. filelog reads a live file and the
// rotated one side by side, so without it the order is lost, and a record that began before the rotation cannot be joined.
func (p *containerlog) awaitRotated(ctx context.Context, f *file) {
	before, size := predecessor(f.path)
	if before == "" {
		return
	}
	var read int64 = -1
	if !f.rotated {
		read = f.end.Load() // under this file's name, before it was renamed
	}
	waited := false
	deadline := p.now().Add(p.cfg.RotationTimeout)
	for seen := read; ; waited = true {
		busy := false
		if old := p.files.peek(before); old != nil {
			read, busy = max(read, old.end.Load()), old.busy.Load()
		}
		if read >= size-int64(len("\r\n")) {
			break
		}
		if read > seen || busy {
			seen, deadline = read, p.now().Add(p.cfg.RotationTimeout)
		}
		if p.now().After(deadline) {
			// Nobody reads it: it was read before a restart, or the include patterns leave rotated files out.
			p.tel.rotationWait("timeout")
			return
		}
		if !sleep(ctx, pause) {
			return
		}
	}
	if waited {
		p.tel.rotationWait("drained")
	}
}

// predecessor is the file whose lines came just before those of path, "" if there is none.
func predecessor(path string) (before string, size int64) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", 0
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", 0
	}
	if before = logpath.Predecessor(path, names); before == "" {
		return "", 0
	}
	info, err := os.Stat(before)
	if err != nil {
		return "", 0
	}
	return before, info.Size()
}

// checkReplay looks up how far the file had been taken before the restart. The file is known by its content, as paths are not: a line
// of the stored length and hash must be at the stored place.
func (p *containerlog) checkReplay(f *file, first int64) {
	if f.source != 0 && (first < 0 || first >= f.end.Load()) {
		return
	}
	f.source = p.files.sources.Add(1) // a new file, or another one under the same name
	f.replay = [2]int64{-1, -1}
	c := f.container
	if len(c.streams[0].marks)+len(c.streams[1].marks) == 0 {
		return
	}
	raw, err := os.Open(f.path)
	if err != nil {
		return
	}
	defer raw.Close()
	for i := range c.streams {
		s := &c.streams[i]
		for n, mark := range s.marks {
			data := make([]byte, mark.Length)
			if _, err := raw.ReadAt(data, mark.Offset); (err != nil && err != io.EOF) || !mark.Is(data) {
				continue
			}
			f.replay[i] = max(f.replay[i], mark.Offset)
			if n == 0 {
				s.markSource = f.source
			}
		}
	}
}

// sleep is false when the context ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
