// Package store keeps keys and values in segments, files that are only appended to: a change is one write, what is no longer needed goes away
// with the oldest segments, and a damaged place costs the records that it hits. It knows nothing of queues.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrDamaged says that a value is not what was stored.
var ErrDamaged = errors.New("the value's checksum is wrong")

// Options say how a store behaves.
type Options struct {
	// Fsync: what Apply has done outlives a power cut, without it the process only.
	Fsync bool
	// LockTimeout is how long a predecessor may take to let go of the directory; 5 s when zero.
	LockTimeout time.Duration
	// Spare keeps room for Release. What has a spare is a queue: nothing in its oldest segment is needed when that is removed, power cut or not.
	Spare bool
	// Disk is the file system when it is nil.
	Disk Disk
}

// Damage is what Open had to skip.
type Damage struct {
	// Records are those that had been acknowledged and are gone.
	Records uint64
	// Torn: the last write was cut off before it was acknowledged, as a kill or a power cut does.
	Torn bool
}

// Store is an open directory. It must not be used concurrently.
type Store struct {
	dir      string
	options  Options
	lock     *os.File
	last     File   // has the number of the last acknowledged record, to notice when the end is missing
	number   uint64 // of the last record
	segments []*segment
	places   map[string]place
	most     int   // how many places there were; a map does not get smaller by itself
	live     int64 // bytes of keys and values that are there
	buffer   []byte
	spare    int64 // size of the file that is set aside; 0: there is none
	retry    int64 // how large the segments are when reclaim tries again
	stuck    error // why a segment that is not needed could not be removed
}

type segment struct {
	name  string
	first uint64 // number of the first record
	seed  uint64 // of the headers' checksums
	file  File
	size  int64
	keys  int // how many places are in it

	settled int64 // how much of it is on the disk for sure; not kept with Fsync
}

type place struct {
	in     *segment // nil: damaged
	at     int64
	length int
	sum    uint32
}

// Open opens or makes a directory.
func Open(dir string, o Options) (*Store, Damage, error) {
	if o.LockTimeout == 0 {
		o.LockTimeout = 5 * time.Second
	}
	if o.Disk == nil {
		o.Disk = fileSystem{}
	}
	s := &Store{dir: dir, options: o, places: map[string]place{}}
	damage, err := s.open()
	if err != nil {
		_ = s.Close()
		return nil, damage, err
	}
	return s, damage, nil
}

func (s *Store) open() (damage Damage, err error) {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return damage, err
	}
	if err := s.takeLock(); err != nil {
		return damage, err
	}
	if s.last, err = s.options.Disk.Open(filepath.Join(s.dir, "last"), os.O_RDWR|os.O_CREATE); err != nil {
		return damage, err
	}
	segments, err := s.list()
	if err != nil {
		return damage, err
	}
	r := replay{}
	for i, g := range segments {
		limit := uint64(math.MaxUint64)
		if i+1 < len(segments) {
			limit = segments[i+1].first
		}
		if err := s.load(g, limit, &r); err != nil {
			return damage, err
		}
	}
	last := s.readLast()
	if len(segments) == 0 && last > 0 { // the newest one is never removed; what else was there nobody knows
		r.next = last
	}
	r.expect(last + 1)
	s.number = r.next - 1
	damage = s.report(&r)
	s.removeDead()
	s.makeSpare()
	return damage, nil
}

// list finds the segments. A name has the number of the first record, and the seed of the checksums: nobody who can only put data into a record
// can put another record into it, which would be found when the first one is damaged.
func (s *Store) list() (segments []*segment, err error) {
	entries, err := os.ReadDir(s.dir) // sorted
	for _, e := range entries {
		g := &segment{name: filepath.Join(s.dir, e.Name())}
		if n, err := fmt.Sscanf(e.Name(), segmentFormat, &g.first, &g.seed); err == nil && n == 2 && e.Name() == fmt.Sprintf(segmentFormat, g.first, g.seed) && e.Type().IsRegular() {
			segments = append(segments, g)
		}
	}
	return segments, err
}

const segmentFormat = "%016x-%016x.log"

// takeLock waits for a predecessor that is still stopping.
func (s *Store) takeLock() (err error) {
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	for deadline := time.Now().Add(s.options.LockTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a file descriptor is an int
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return fmt.Errorf("%s: %w; another process has it open: has a second collector the same directory?", s.dir, err)
		}
	}
}

// The file "last" has a number and its checksum.
const lastSize = 12

func (s *Store) readLast() uint64 {
	var b [lastSize]byte
	if _, err := s.last.ReadAt(b[:], 0); err != nil || checksum(b[:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (s *Store) writeLast() error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, lastSize), s.number)
	_, err := s.last.WriteAt(binary.LittleEndian.AppendUint32(b, checksum(b)), 0)
	return err
}

// Close lets go of the directory.
func (s *Store) Close() error {
	var errs []error
	for _, g := range s.segments {
		errs = append(errs, g.file.Close())
	}
	if s.last != nil {
		errs = append(errs, s.last.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Get returns a copy of a key's value; nil when there is none.
func (s *Store) Get(key string) ([]byte, error) {
	p, ok := s.places[key]
	if !ok {
		return nil, nil
	}
	if p.in == nil {
		return nil, ErrDamaged
	}
	value := make([]byte, p.length)
	if _, err := p.in.file.ReadAt(value, p.at); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if checksum(value) != p.sum {
		return nil, ErrDamaged
	}
	return value, nil
}

// Has is whether there is such a key.
func (s *Store) Has(key string) bool {
	_, ok := s.places[key]
	return ok
}

// Keys calls f with each key and the length of its value, in no order.
func (s *Store) Keys(f func(key string, size int)) {
	for key, p := range s.places {
		if key != gapsKey {
			f(key, p.length)
		}
	}
}

// Bytes are how much the segments take up, and how much of it is keys and values that are there.
func (s *Store) Bytes() (size, live int64) {
	for _, g := range s.segments {
		size += g.size
	}
	return size, s.live
}

// Apply makes all changes or none.
func (s *Store) Apply(writes []Write) error {
	if err := s.append(writes); err != nil {
		return err
	}
	s.reclaim()
	return nil
}

// Stuck is why a segment that is not needed is still there; the next Apply tries again.
func (s *Store) Stuck() error { return s.stuck }

func (s *Store) append(writes []Write) error {
	g, err := s.current()
	if err != nil {
		return err
	}
	if size := recordSize(writes); size > maxRecord {
		return fmt.Errorf("a record of %d bytes is too large; at most %d", size, int64(maxRecord))
	}
	type placed struct {
		w  Write
		at int
	}
	all := make([]placed, 0, len(writes))
	s.buffer = appendRecord(s.buffer[:0], g.seed, s.number+1, writes, func(w Write, at int) { all = append(all, placed{w, at}) })
	if err := s.write(g); err != nil {
		// What a part of the record is there would be taken for damage.
		_ = g.file.Truncate(g.size)
		return err
	}
	for _, p := range all {
		s.put(g, p.w, g.size+int64(p.at))
	}
	g.size += int64(len(s.buffer))
	s.number++
	if cap(s.buffer) > maxBuffer {
		s.buffer = nil
	}
	// Without it nothing is wrong but that a missing end would not be noticed.
	_ = s.writeLast()
	return nil
}

const (
	minSegment = 1 << 20
	maxSegment = 16 << 20
	maxRecord  = 1 << 30
	maxBuffer  = 1 << 20 // that is kept for the next record
)

// put notes where a key's value is now.
func (s *Store) put(g *segment, w Write, at int64) {
	if old, ok := s.places[w.Key]; ok {
		if old.in != nil {
			old.in.keys--
		}
		s.live -= int64(len(w.Key) + old.length)
		delete(s.places, w.Key)
	}
	if w.Value == nil {
		return
	}
	s.places[w.Key] = place{in: g, at: at, length: len(w.Value), sum: checksum(w.Value)}
	s.most = max(s.most, len(s.places))
	g.keys++
	s.live += int64(len(w.Key) + len(w.Value))
}
