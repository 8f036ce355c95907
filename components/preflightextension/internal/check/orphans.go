package check

import (
	"errors"
	"fmt"
	"path/filepath"
)

// lookup is what was found in a file or folder that belongs to nobody.
type lookup struct {
	bytes    int64
	contents Contents
	err      error
}

// maxFolder is how much of a folder is read. A larger one cannot be empty: durable_storage keeps at most twice of what is in it and 64 MiB.
const maxFolder = 64 << 20

func (d *Disk) look(path string, have form, bytes int64) lookup {
	if l, ok := d.seen[path]; ok && l.bytes == bytes {
		return l
	}
	l := lookup{bytes: bytes}
	switch {
	case have == aFile && bytes == 0: // it was made and never used
	case have == aFile:
		l.contents, l.err = look(path)
	case bytes > maxFolder:
		l.contents = Contents{Items: 1, More: true}
	default:
		l.contents, l.err = d.folder(path)
	}
	if !errors.Is(l.err, ErrInUse) {
		d.seen[path] = l
	}
	return l
}

// orphan reports a file or folder that no component of the configuration opens.
func (d *Disk) orphan(dir *directory, path string, have form, bytes int64, f *findings) {
	l := d.look(path, have, bytes)
	name := filepath.Base(path)
	o := parse(name, d.types)
	whose := o.String()
	if isHash(name) {
		whose = "of a component with a long name"
	}
	what := fmt.Sprintf("%s, %s, belongs to no component of the configuration", bytesOf(bytes), whose)
	if d.idle[o.id] && o.kind == "exporter" {
		what += " (the exporter is configured, but in no pipeline)"
	}
	const remove = "delete it, or move it away"
	switch {
	case errors.Is(l.err, ErrInUse):
		f.add(DirectoryInUse, path, what+", and another process has it open: a second collector has the same directory", "give each collector a directory of its own")
	case l.err != nil:
		f.add(OrphanedQueue, path, what+"; "+l.err.Error(), "if nobody needs it, "+remove)
	case l.contents.Items > 0:
		more := ""
		if l.contents.More {
			more = "at least "
		}
		f.add(OrphanedQueue, path, fmt.Sprintf("%s: %s%s that it has acknowledged are not sent", what, more, count(l.contents.Items, "request")), drain(dir, have, o)+", or accept it if the data is not wanted, or "+remove)
	default:
		f.add(OrphanedFile, path, what+"; nothing waits in it to be sent", remove)
	}
}

// drain says how an orphaned queue comes to be sent.
func drain(dir *directory, have form, o owner) string {
	var heir string
	for _, q := range dir.queues {
		if f, _ := dir.owns(q.file); q.signal != o.signal || f != have {
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
	return fmt.Sprintf("give the exporter its old name (%s) until it is empty; or, if it was renamed and before the new one has taken anything, stop the collector and rename it to %s", o.id, heir)
}
