package store

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// spareSizes: as much as there is room for. What is removed to make room for the next one may have been one block.
var spareSizes = []int64{64 << 10, 16 << 10, 4 << 10}

// On a full volume nothing can be deleted, because a deletion is a write, and so it would stay full for ever. The file spare takes up room for one
// record: it becomes a segment, written to in place, when that makes the oldest one unnecessary; its room then is that of the next spare.
func (s *Store) spareName() string { return filepath.Join(s.dir, "spare") }

// makeSpare takes over a predecessor's, or makes one.
func (s *Store) makeSpare() {
	if !s.options.Spare || s.spare > 0 {
		return
	}
	if info, err := os.Lstat(s.spareName()); err == nil && info.Mode().IsRegular() && slices.Contains(spareSizes, info.Size()) {
		s.spare = info.Size()
		return
	}
	for _, size := range spareSizes {
		f, err := s.options.Disk.Open(s.spareName(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return
		}
		_, err = f.WriteAt(make([]byte, size), 0)
		if _ = f.Close(); err == nil {
			s.spare = size
			return
		}
	}
}

// Release is for a full volume. When the oldest segment is not needed without the keys that are gone, it writes w where room was set aside, forgets
// those keys, and removes the segment. That they are gone is not written: a store that is opened again may have some of them, and w must say so.
func (s *Store) Release(w Write, gone iter.Seq[string]) (released bool, err error) {
	s.makeSpare()
	gaps, _ := s.Get(gapsKey) // may be in the oldest segment, too; a damaged one is told again
	writes := []Write{w, {gapsKey, gaps}}
	if recordSize(writes) > s.spare || !s.frees(writes, gone) {
		return false, nil
	}
	if err := s.useSpare(); err != nil {
		return false, err
	}
	if err := s.append(writes); err != nil {
		return false, err
	}
	s.Forget(gone)
	return true, nil
}

// useSpare makes it the segment that is appended to. One that is empty it replaces: no two may begin with the same number.
func (s *Store) useSpare() error {
	g, n := s.newSegment(), len(s.segments)
	replaces := n > 0 && s.segments[n-1].size == 0
	if replaces {
		g = s.segments[n-1]
	}
	file, err := s.options.Disk.Open(s.spareName(), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err := s.options.Disk.Rename(s.spareName(), g.name); err != nil {
		_ = file.Close()
		return err
	}
	if replaces {
		_ = g.file.Close()
	} else {
		s.segments = append(s.segments, g)
	}
	g.file, s.spare = file, 0
	return nil
}

// frees is whether nothing is left in the oldest segment.
func (s *Store) frees(writes []Write, gone iter.Seq[string]) bool {
	if len(s.segments) == 0 {
		return false
	}
	oldest := s.segments[0]
	left := oldest.keys
	for key := range gone {
		if s.places[key].in == oldest {
			left--
		}
	}
	for _, w := range writes {
		if s.places[w.Key].in == oldest {
			left--
		}
	}
	return left == 0
}

// Forget deletes keys without writing that, and what is only theirs. A store that is opened again may have some of them.
func (s *Store) Forget(gone iter.Seq[string]) {
	for key := range gone {
		s.put(nil, Write{Key: key}, 0)
	}
	s.removeDead()
}
