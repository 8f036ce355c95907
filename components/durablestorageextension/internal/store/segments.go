package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// current is the segment to append to.
func (s *Store) current() (*segment, error) {
	if n := len(s.segments); n > 0 && s.segments[n-1].size < s.segmentBytes() {
		return s.segments[n-1], nil
	}
	g := s.newSegment()
	var err error
	if g.file, err = s.options.Disk.Open(g.name, os.O_RDWR|os.O_CREATE); err != nil {
		return nil, err
	}
	s.segments = append(s.segments, g)
	return g, nil
}

func (s *Store) newSegment() *segment {
	g := &segment{first: s.number + 1, seed: rand.Uint64()}
	g.name = filepath.Join(s.dir, fmt.Sprintf(segmentFormat, g.first, g.seed))
	return g
}

// segmentBytes is where the next segment begins. The fewer there is to keep the shorter they are, so that files of a few keys stay small.
func (s *Store) segmentBytes() int64 {
	return max(minSegment, min(maxSegment, s.live/4))
}

// write appends what is in the buffer.
func (s *Store) write(g *segment) error {
	if _, err := g.file.WriteAt(s.buffer, g.size); err != nil {
		return err
	}
	if !s.options.Fsync {
		return nil
	}
	if g.size == 0 { // its name must outlive a power cut, too
		if err := s.options.Disk.SyncDir(s.dir); err != nil {
			return err
		}
	}
	return g.file.Sync()
}

func (s *Store) removeDead() {
	s.stuck = nil
	// Only the oldest, so that no deletion is forgotten before what it deleted; and never the newest, whose number the next one follows.
	for len(s.segments) > 1 && s.segments[0].keys == 0 {
		oldest := s.segments[0]
		if err := s.settle(); err != nil {
			s.stuck = err
			return
		}
		if err := s.options.Disk.Remove(oldest.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.stuck = err
			return
		}
		s.segments = s.segments[1:]
		_ = oldest.file.Close()
		s.retry = 0
		s.makeSpare()
		if s.most > 1<<12 && len(s.places) < s.most/4 {
			s.places, s.most = maps.Collect(maps.All(s.places)), len(s.places)
		}
	}
}

// settle brings what is newer than the oldest segment to the disk before that is removed: a file system may forget the file within seconds, and write
// what took its place half a minute later, and a power cut in between would cost a key's old value and its new one. Queues do not need it: what is in their
// oldest segment was delivered.
func (s *Store) settle() error {
	if s.options.Fsync || s.options.Spare {
		return nil
	}
	for _, g := range s.segments[1:] {
		if g.settled == g.size {
			continue
		}
		if err := g.file.Sync(); err != nil {
			return err
		}
		g.settled = g.size
	}
	return s.options.Disk.SyncDir(s.dir)
}
