package containerlogprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestConcurrentFiles reads several containers' files side by side, as filelog does, over outages, restarts, a rotation of each
// container's log and a restart of each container: every record arrives once, whole and in order. FuzzLoss does one file after the other.
func TestConcurrentFiles(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				playConcurrent(t, rand.New(rand.NewPCG(seed, 0)))
			})
		}
	})
	goleak.VerifyNone(t, before)
}

// crowd is some containers' files. want is what they wrote: by container, run and stream, in order.
type crowd struct {
	random *rand.Rand
	nodes  []*node // a container has two, its second run is one of its own
	want   map[string][]string
	open   map[string]string
	number int
}

func playConcurrent(t *testing.T, random *rand.Rand) {
	dir, next := t.TempDir(), &sink{}
	o := options{dir: dir, cfg: func(c *Config) { c.PartialTimeout, c.RotationTimeout = time.Hour, 3*time.Second }} // longer than a busy machine stalls
	c := newCrowd(t, random)
	for round := range 5 {
		if round == 1 {
			c.rotate() // while the collector is down
		}
		c.write(20)
		refused := []float64{0, 0.3, 1}[random.IntN(3)]
		dice := rand.New(rand.NewPCG(random.Uint64(), 0)) // guarded by the sink's lock
		next.setRefuse(func(int) error {
			if dice.Float64() < refused {
				return errBusy
			}
			return nil
		})
		p := start(t, next, o)
		stopping, cancel := context.WithTimeout(t.Context(), time.Duration(1+round*round*10)*time.Millisecond)
		c.read(stopping, t, p)
		cancel()
		finishes(t, "Shutdown", func() { p.stopOnce(t) })
	}

	next.setRefuse(nil)
	p := start(t, next, o)
	c.end()
	all, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c.read(all, t, p)
	finishes(t, "what was set aside", func() {
		<-p.restored
		for _, lines := range p.order {
			<-lines.done
		}
	})
	finishes(t, "Shutdown", func() { p.stopOnce(t) })

	got := map[string][]string{}
	for _, r := range next.all() {
		require.Empty(t, r.Partial+r.Error, r.Body)
		key, _, _ := strings.Cut(r.Body, "#")
		got[key] = append(got[key], r.Body)
	}
	require.Equal(t, c.want, got)
}

func newCrowd(t *testing.T, random *rand.Rand) *crowd {
	c := &crowd{random: random, want: map[string][]string{}, open: map[string]string{}}
	for range 3 {
		first := newNode(t)
		second := &node{t: t, dir: first.dir, files: []*diskFile{{path: filepath.Join(first.dir, "1.log")}}}
		c.nodes = append(c.nodes, first, second)
	}
	return c
}

// rotate renames the log of every container's first run, most likely inside a record.
func (c *crowd) rotate() {
	for i := 0; i < len(c.nodes); i += 2 {
		c.nodes[i].rotate()
	}
}

// write adds lines of both streams to all live files; two of three are pieces that more follows.
func (c *crowd) write(count int) {
	for i := range c.nodes {
		for range count {
			c.line(i, []string{"out", "err"}[c.random.IntN(2)], []string{"P", "P", "F"}[c.random.IntN(3)])
		}
	}
}

// end lets all records end.
func (c *crowd) end() {
	for i := range c.nodes {
		c.line(i, "out", "F")
		c.line(i, "err", "F")
	}
}

func (c *crowd) line(i int, stream, tag string) {
	key := fmt.Sprint(i, " ", stream)
	c.number++
	text := fmt.Sprintf("%s#%d ", key, c.number)
	c.nodes[i].write(fmt.Sprintf("2026-03-01T10:20:30.%09dZ std%s %s %s", c.number, stream, tag, text))
	if c.open[key] += text; tag == "F" {
		c.want[key] = append(c.want[key], c.open[key])
		delete(c.open, key)
	}
}

// read hands on all files side by side, each in its order, until they are read or filelog stops.
func (c *crowd) read(stopping context.Context, t *testing.T, p *started) {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		for _, f := range n.files {
			random := rand.New(rand.NewPCG(c.random.Uint64(), 0))
			wg.Go(func() {
				for stopping.Err() == nil && f.read < len(f.lines) {
					assert.NoError(t, c.offer(stopping, p, f, 1+random.IntN(5)))
				}
			})
		}
	}
	finishes(t, "reading", wg.Wait)
}

// offer is one batch of a file; after an error the same lines are the next one.
func (*crowd) offer(ctx context.Context, p *started, f *diskFile, count int) error {
	lines := f.lines[f.read:min(f.read+count, len(f.lines))]
	file := logFile{path: f.path}
	for _, line := range f.lines[:f.read] {
		file.offset += int64(len(line)) + 1
	}
	err := p.ConsumeLogs(ctx, file.batch(lines...))
	if err == nil {
		f.read += len(lines)
	}
	return err
}

func finishes(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { do(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal(what + " does not end")
	}
}
