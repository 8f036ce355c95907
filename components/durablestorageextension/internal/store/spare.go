package store

import (
	"iter"
	"os"
	"path/filepath"
)

// On a full volume nothing can be deleted, because a deletion is a write, and so it would stay full for ever. The file spare takes up room for one
// record: it becomes a segment, written to in place, when that makes the oldest one unnecessary; its room then is that of the next spare.
const spareName = "spare"

// spareSizes: as much as there is room for. What is removed to make room for the next one may have been one block.
var spareSizes = []int64{64 << 10, 16 << 10, 4 << 10}

func (s *Store) makeSpare() {
	if !s.options.Spare || s.spare > 0 {
		return
	}
	name := filepath.Join(s.dir, spareName)
	for _, size := range spareSizes {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err == nil {
			s.spare = size
			return
		}
		_ = os.Remove(name) // a part of it would be in others' way
	}
}

// findSpare takes over a predecessor's.
func (s *Store) findSpare() {
	if info, err := os.Lstat(filepath.Join(s.dir, spareName)); err == nil && s.options.Spare && info.Mode().IsRegular() {
		for _, size := range spareSizes {
			if info.Size() == size {
				s.spare = size
			}
		}
	}
}

// Release is for a full volume. When the oldest segment is not needed without the keys that are gone, it writes w where room was set aside, forgets
// those keys, and removes the segment. That they are gone is not written: a store that is opened again may have some of them, and w must say so.
func (s *Store) Release(w Write, gone iter.Seq[string]) (released bool, err error) {
	s.makeSpare()
	if len(s.segments) == 0 || s.spare == 0 || !s.frees(w.Key, gone) {
		return false, nil
	}
	writes := []Write{w}
	if p, ok := s.places[gapsKey]; ok && p.in == s.segments[0] {
		gaps, err := s.Get(gapsKey)
		if err != nil {
			return false, err
		}
		writes = append(writes, Write{gapsKey, gaps})
	}
	if int64(len(appendRecord(nil, 0, 0, writes, func(Write, int) {}))) > s.spare {
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

// frees is whether nothing is left in the oldest segment.
func (s *Store) frees(written string, gone iter.Seq[string]) bool {
	oldest, keys := s.segments[0], 0
	for key := range gone {
		if s.places[key].in == oldest {
			keys++
		}
	}
	for _, key := range []string{written, gapsKey} {
		if s.places[key].in == oldest {
			keys++
		}
	}
	return keys == oldest.keys
}

// useSpare makes it the segment that is appended to.
func (s *Store) useSpare() error {
	name := filepath.Join(s.dir, spareName)
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	g := s.newSegment()
	if err := os.Rename(name, g.name); err != nil {
		_ = file.Close()
		return err
	}
	g.file, s.spare = file, 0
	s.segments = append(s.segments, g)
	if s.options.Fsync {
		return syncDir(s.dir)
	}
	return nil
}

// Forget deletes keys without writing that, and what is only theirs. A store that is opened again may have some of them.
func (s *Store) Forget(gone iter.Seq[string]) {
	for key := range gone {
		s.put(nil, Write{Key: key}, 0)
	}
	s.removeDead()
}
