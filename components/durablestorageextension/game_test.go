package durablestorageextension

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/metadata"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// game is a queue of one consumer or several, what it was told and what came of it.
type game struct {
	t     *testing.T
	r     *rand.Rand
	disk  *faultyDisk
	fsync bool
	tel   *componenttest.Telemetry
	c     *client
	m     queue.Metadata
	on    map[uint64]int // what is on its way, by number

	offered   int
	taken     map[int]bool
	unsure    map[int]bool // refused, or nobody was there any more to be told
	delivered map[int]bool
	settled   map[int]bool // delivered before a write that succeeded
}

func (g *game) open() {
	builder, err := metadata.NewTelemetryBuilder(g.tel.NewTelemetrySettings())
	require.NoError(g.t, err)
	g.c = &client{path: g.disk.dir, queue: true, logger: zap.NewNop(), telemetry: newClientTelemetry(builder, "x"), late: map[string][]byte{}, gone: map[string]struct{}{}}
	g.c.timer = time.NewTimer(time.Hour) // late writes are made by the game alone, so that a seed is a game
	for g.c.open(g.t.Context(), store.Options{Fsync: g.fsync, Spare: true, Disk: g.disk, LockTimeout: time.Millisecond}) != nil {
		g.disk.lives = max(g.disk.lives, 100)
		g.disk.fails /= 2
	}
	raw, err := g.c.Get(g.t.Context(), queue.MetadataKey)
	require.NoError(g.t, err)
	g.m, err = queue.Decode(raw)
	require.NoError(g.t, err)
	require.Empty(g.t, g.m.InFlight)
	require.LessOrEqual(g.t, g.m.Read, g.m.Write)
	g.on = map[uint64]int{}
}

// settle notes what must not come again.
func (g *game) settle() {
	for id := range g.delivered {
		g.settled[id] = true
	}
}

func (g *game) offer() {
	id := g.offered
	g.offered++
	value := fmt.Sprintf("%d %s", id, strings.Repeat("x", g.r.IntN(1+g.r.IntN(250_000))))
	g.m.Write++
	err := g.c.Batch(g.t.Context(), storage.SetOperation(queue.MetadataKey, g.m.Encode()), storage.SetOperation(queue.ItemKey(g.m.Write-1), []byte(value)))
	if g.taken[id] = err == nil; g.taken[id] {
		g.settle()
	}
	g.unsure[id] = err != nil && (g.disk.dead() || g.disk.undone)
}

// read gives the number that is next to a consumer, if there is one.
func (g *game) read() {
	if g.m.Read == g.m.Write {
		return
	}
	n := g.m.Read
	g.m.Read++
	g.m.InFlight = append(g.m.InFlight, n)
	get := storage.GetOperation(queue.ItemKey(n))
	if g.c.Batch(g.t.Context(), storage.SetOperation(queue.MetadataKey, g.m.Encode()), get) != nil {
		if g.r.IntN(3) == 0 {
			g.flush() // the queue does not let go of itself here, but of the storage
		}
		g.done(n)
		return
	}
	id := -1
	_, err := fmt.Sscanf(string(get.Value), "%d ", &id)
	require.NoError(g.t, err)
	g.on[n] = id
}

func (g *game) done(n uint64) {
	for i, other := range g.m.InFlight {
		if other == n {
			last := len(g.m.InFlight) - 1
			g.m.InFlight[i] = g.m.InFlight[last]
			g.m.InFlight = g.m.InFlight[:last]
			break
		}
	}
	if id, ok := g.on[n]; ok {
		g.delivered[id] = true
		delete(g.on, n)
	}
	require.NoError(g.t, g.c.Batch(g.t.Context(), storage.SetOperation(queue.MetadataKey, g.m.Encode()), storage.DeleteOperation(queue.ItemKey(n))))
}

func (g *game) flush() {
	before := len(g.c.gone)
	g.c.writeLate(g.t.Context())
	if before > 0 && len(g.c.gone) == 0 { // written, or released
		g.settle()
	}
}

// anyOnItsWay is one of those that are delivered next.
func (g *game) anyOnItsWay() (uint64, bool) {
	if len(g.m.InFlight) == 0 {
		return 0, false
	}
	return g.m.InFlight[g.r.IntN(len(g.m.InFlight))], true
}

func (g *game) step() {
	switch g.r.IntN(10) {
	case 0, 1, 2:
		g.offer()
	case 3, 4:
		if len(g.m.InFlight) < 4 {
			g.read()
		}
	case 5, 6, 7:
		if n, ok := g.anyOnItsWay(); ok {
			g.done(n)
		}
	case 8:
		g.flush()
	case 9:
		if g.r.IntN(4) == 0 {
			g.disk.room = int64(g.r.IntN(6 << 20))
		}
	}
}

// kill leaves the files as they are; the next process opens them.
func (g *game) kill() {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	g.c.closed = true
	g.c.timer.Stop()
	require.NoError(g.t, g.c.store.Close())
}

// check is what must be true of what waits after a start.
func (g *game) check(what string) {
	found := map[int]bool{}
	last := -1
	for _, value := range waiting(g.t, g.c) {
		id := -1
		_, err := fmt.Sscanf(value, "%d ", &id)
		require.NoError(g.t, err, what)
		require.False(g.t, g.settled[id], "%s: %d comes again", what, id)
		require.True(g.t, g.taken[id] || g.unsure[id], "%s: %d was refused", what, id)
		require.Greater(g.t, id, last, "%s: order", what)
		found[id], last = true, id
	}
	for id, taken := range g.taken {
		if taken && !g.delivered[id] {
			require.True(g.t, found[id], "%s: %d is lost", what, id)
		}
		g.unsure[id] = false
		g.taken[id] = taken || found[id]
	}
	for id := range found {
		delete(g.delivered, id)
	}
	g.settle()
	damage := counts(g.t, g.tel)
	delete(damage, damagedTorn)
	require.Empty(g.t, damage, what)
}

// Whatever write fails, and whenever the process dies: what was taken and not delivered comes, in its order, what was not stored does not, nor
// what was delivered before a write that succeeded. In the end there is room for new data.
func TestFaultyDiskGame(t *testing.T) {
	const seeds = 8
	for seed := range uint64(seeds) {
		play(t, seed)
	}
}

func play(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	g := &game{t: t, r: r, fsync: seed%2 == 0, taken: map[int]bool{}, unsure: map[int]bool{}, delivered: map[int]bool{}, settled: map[int]bool{}}
	g.disk = &faultyDisk{r: rand.New(rand.NewPCG(seed, 12)), dir: t.TempDir()}
	for life := range 10 {
		g.tel = componenttest.NewTelemetry()
		g.disk.room = int64(1<<20 + r.IntN(6<<20))
		g.disk.fails = []float64{0, 0, 0.02, 0.3}[r.IntN(4)]
		g.disk.lives = 20 + r.IntN(300)
		g.disk.undone = false
		g.open()
		g.check(fmt.Sprintf("seed %d life %d", seed, life))
		for steps := 200; steps > 0 && !g.disk.dead(); steps-- {
			g.step()
		}
		g.kill()
	}
	g.disk.fails, g.disk.lives, g.disk.room = 0, 1<<30, 64<<20
	g.tel = componenttest.NewTelemetry()
	g.open()
	g.check(fmt.Sprintf("seed %d at the end", seed))
	for g.m.Read < g.m.Write {
		g.read()
		if n, ok := g.anyOnItsWay(); ok {
			g.done(n)
		}
	}
	g.flush()
	for id, taken := range g.taken {
		require.False(t, taken && !g.delivered[id], "seed %d: %d was never delivered", seed, id)
	}
	require.Less(t, g.disk.used(), int64(2<<20), "seed %d", seed)
	g.kill()
}
