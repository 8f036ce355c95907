// Package podlogs writes container log files the way a node has them: the kubelet's and dockerd's folders, the lines of
// containerd, CRI-O and Docker, rotation by rename. Every record says which container, stream and number it is, and a
// ledger knows where each one lies, so that a reader of the files can be held to account.
//
// What is written depends on the seed and on the order of calls only; timestamps come from a clock of the container's own.
package podlogs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Runtime is who writes a container's lines.
type Runtime int

// The runtimes whose ways are known here.
const (
	Containerd Runtime = iota
	CRIO
	Docker
)

func (r Runtime) String() string { return [...]string{"containerd", "cri-o", "docker"}[r] }

// Streams of a container.
var Streams = [...]string{"stdout", "stderr"}

// Options say what a fleet looks like.
type Options struct {
	PodsDir     string // laid out as /var/log/pods
	DockerDir   string // laid out as /var/lib/docker/containers
	Seed        uint64
	Containers  int
	Runtimes    []Runtime // that containers have in turn; all three when empty
	LongPercent int       // of the records are longer than what a runtime writes as one line
	MostOpen    int       // writes until a record that was begun is ended; no bound when zero
	WallClock   bool      // stamp lines with the present time, for a store that refuses old ones
	KeepFiles   int       // per container, as kubelet's containerLogMaxFiles and Docker's max-file; 5 and 3 when zero
}

// Fleet is the containers of a node. It may be used by several goroutines.
type Fleet struct {
	opts Options

	mu         sync.Mutex
	pick       *rand.Rand
	containers []*Container
	writes     int
	open       []openRecord // the one open longest first
}

// openRecord is a stream that was left inside a record.
type openRecord struct {
	container *Container
	stream    int
	since     int // in writes of the fleet
}

// New makes the folders and empty files.
func New(o Options) (*Fleet, error) {
	if len(o.Runtimes) == 0 {
		o.Runtimes = []Runtime{Containerd, CRIO, Docker}
	}
	f := &Fleet{opts: o, pick: newRand(o.Seed, 0)}
	for i := range o.Containers {
		c, err := newContainer(o, i)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.containers = append(f.containers, c)
	}
	return f, nil
}

// newRand gives each user of the seed numbers of its own.
func newRand(seed uint64, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Run writes perSecond times a second until the context ends. A write is a line, or with CRI-O what one read gave.
func (f *Fleet) Run(ctx context.Context, perSecond int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	start, done := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := int(time.Since(start).Seconds() * float64(perSecond))
		if err := f.Write(due - done); err != nil {
			return err
		}
		done = due
	}
}

// Write writes n times, each time for a container and a stream at random; every tenth container does half of all. A long
// record takes several writes, and those of the other stream come in between.
func (f *Fleet) Write(n int) error {
	for range n {
		f.mu.Lock()
		err := f.next()
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) next() error {
	f.writes++
	among := len(f.containers)
	if f.pick.IntN(2) == 0 {
		among = (among + 9) / 10
	}
	c, stream := f.containers[f.pick.IntN(among)], f.pick.IntN(len(Streams))
	if len(f.open) > 0 && f.opts.MostOpen > 0 && f.writes-f.open[0].since > f.opts.MostOpen {
		c, stream = f.open[0].container, f.open[0].stream
	}
	return f.write(c, stream)
}

func (f *Fleet) write(c *Container, stream int) error {
	err := c.write(stream)
	is := func(o openRecord) bool { return o.container == c && o.stream == stream }
	known := slices.IndexFunc(f.open, is)
	switch inside := c.streams[stream].inside(); {
	case inside && known < 0:
		f.open = append(f.open, openRecord{c, stream, f.writes})
	case !inside && known >= 0:
		f.open = slices.Delete(f.open, known, known+1)
	}
	return err
}

// Finish writes what is left of records that were begun.
func (f *Fleet) Finish() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		for s := range Streams {
			for c.streams[s].open() {
				if err := f.write(c, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Rotate does with a container's files what the kubelet does every 10 s at most, dockerd whenever a file is full. The
// file that this rotation replaces stays readable until the next one, which compresses or renames it out of sight: a test
// that lets a reader fall behind by more than that tests nothing, because no reader could know what was lost.
func (f *Fleet) Rotate(container int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.containers[container].rotate()
}

// Len is the number of containers.
func (f *Fleet) Len() int { return len(f.containers) }

// Container is one of them; what never changes about it can be read without care.
func (f *Fleet) Container(i int) *Container { return f.containers[i] }

// Open is the number of streams whose file ends inside a record.
func (f *Fleet) Open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// Counts are how many records of each container and stream are complete.
func (f *Fleet) Counts() [][len(Streams)]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make([][len(Streams)]int, len(f.containers))
	for i, c := range f.containers {
		for s := range Streams {
			counts[i][s] = c.streams[s].complete
		}
	}
	return counts
}

// Entry is what the ledger knows of a record that has been begun.
func (f *Fleet) Entry(container, stream, number int) (Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if container < 0 || container >= len(f.containers) || stream < 0 || stream >= len(Streams) {
		return Entry{}, fmt.Errorf("there is no container %d with a stream %d", container, stream)
	}
	ledger := f.containers[container].streams[stream].ledger
	if number < 0 || number >= len(ledger) {
		return Entry{}, fmt.Errorf("record %d was never begun, the last one is %d", number, len(ledger)-1)
	}
	return ledger[number], nil
}

// Close closes the files.
func (f *Fleet) Close() error {
	var errs []error
	for _, c := range f.containers {
		errs = append(errs, c.file.Close())
	}
	return errors.Join(errs...)
}
