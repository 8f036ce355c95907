package containerlogprocessor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/logpath"
)

// pause is how often a wait looks again.
const pause = 10 * time.Millisecond

// awaitRotated holds a file's first batch back until the file before it has been read to its end. filelog reads a live file and the
// rotated one side by side, so without it the order is lost, and a record that began before the rotation cannot be joined. It is false
// when the context ended before.
func (p *containerlog) awaitRotated(ctx context.Context, f *file, first join.Position) bool {
	own := locate(f.path, first)
	if own == nil {
		return true
	}
	defer own.Close()
	before := predecessor(own.Name())
	if before == nil {
		return true
	}
	defer before.Close()
	info, err := before.Stat()
	if err != nil {
		return true
	}
	// It may have been read under this file's name, before it was renamed; a name says nothing, its content does.
	read := int64(-1)
	if tail := f.tail.Load(); tail != nil && holds(before, *tail) {
		read = f.end()
	}
	var known *join.Position
	waited := false
	deadline := p.now().Add(p.cfg.RotationTimeout)
	for seen := read; ; waited = true {
		busy := false
		if old := p.files.peek(before.Name()); old != nil {
			busy = old.busy.Load() > 0
			if tail := old.tail.Load(); tail != nil && tail != known && holds(before, *tail) {
				known, read = tail, max(read, tail.Offset+int64(tail.Length))
			}
		}
		if read >= info.Size()-int64(len("\r\n")) {
			break
		}
		if read > seen || busy {
			seen, deadline = read, p.now().Add(p.cfg.RotationTimeout)
		}
		if p.now().After(deadline) {
			// Nobody reads it: it was read before a restart, or the include patterns leave rotated files out.
			p.tel.rotationWait("timeout")
			return true
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
	if waited {
		p.tel.rotationWait("drained")
	}
	return true
}

// unread tells whether there is more in the file after the line, or in the live one when that was rotated.
func unread(path string, tail join.Position) bool {
	own := locate(path, tail)
	if own == nil {
		return false
	}
	defer own.Close()
	info, err := own.Stat()
	if err != nil {
		return false
	}
	if info.Size() > tail.Offset+int64(tail.Length+len("\r\n")) {
		return true
	}
	live := path
	if id, ok := logpath.Parse(path); ok {
		live = filepath.Join(filepath.Dir(path), filepath.Base(id.Current))
	}
	if own.Name() == live {
		return false
	}
	info, err = os.Stat(live)
	return err == nil && info.Size() > 0
}

// predecessor opens the file whose lines came just before those of path, nil if there is none.
func predecessor(path string) *os.File {
	before := logpath.Predecessor(path, siblings(path))
	if before == "" {
		return nil
	}
	f, err := os.Open(before)
	if err != nil {
		return nil
	}
	return f
}

// siblings are the names in the directory of path.
func siblings(path string) []string {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	return names
}

// holds tells whether a file has the line at its place.
func holds(f io.ReaderAt, line join.Position) bool {
	data := make([]byte, line.Length)
	n, err := f.ReadAt(data, line.Offset)
	return (err == nil || err == io.EOF) && line.Is(data[:n])
}

// checkReplay looks up how far the file had been taken before the restart. The file is known by its content, as paths are not: a line
// of the stored length and hash must be at the stored place.
func (p *containerlog) checkReplay(f *file, batch plog.ResourceLogs) {
	first, raw := firstLine(batch)
	if f.source != 0 && (first < 0 || first >= f.end()) {
		return
	}
	f.source = p.files.sources.Add(1) // a new file, or another one under the same name
	f.replay = [2]taken{}
	c := f.container
	if first < 0 || len(c.streams[0].marks)+len(c.streams[1].marks) == 0 {
		return
	}
	on := locate(f.path, join.At(first, raw))
	if on == nil {
		return
	}
	defer on.Close()
	for i := range c.streams {
		s := &c.streams[i]
		for n, mark := range s.marks {
			if !holds(on, mark) {
				continue
			}
			if t := &f.replay[i]; !t.known || mark.Offset > t.offset {
				*t = taken{mark.Offset, int64(mark.Length), true}
			}
			if n == 0 {
				s.markSource = f.source
			}
		}
	}
}

// locate opens the file that the line is from. That may have been renamed since it was read.
func locate(path string, line join.Position) *os.File {
	if f := openIf(path, line); f != nil {
		return f
	}
	dir, name := filepath.Split(path)
	if id, ok := logpath.Parse(path); ok {
		name = filepath.Base(id.Current) // Docker's .1 becomes .2
	}
	for _, other := range siblings(path) {
		if strings.HasPrefix(other, name+".") {
			if f := openIf(dir+other, line); f != nil {
				return f
			}
		}
	}
	return nil
}

func openIf(path string, line join.Position) *os.File {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	if holds(f, line) {
		return f
	}
	_ = f.Close()
	return nil
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
