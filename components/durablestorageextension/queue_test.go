package durablestorageextension

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/metadata"
)

var storageID = component.MustNewID("durable_storage")

// host has the extension under test.
type host struct{ storage storage.Extension }

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.storage}
}

// living are the clients that the tests' storages have opened, by the storages' directories.
var living = struct {
	sync.Mutex
	clients map[string][]*client
}{clients: map[string][]*client{}}

// watched notes its clients.
type watched struct {
	storage.Extension
	dir string
}

func (w watched) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	c, err := w.Extension.GetClient(ctx, kind, id, name)
	if err == nil {
		living.Lock()
		defer living.Unlock()
		living.clients[w.dir] = append(living.clients[w.dir], c.(*client))
	}
	return c, err
}

func newStorage(t testing.TB, tel *componenttest.Telemetry, dir string) storage.Extension {
	t.Helper()
	set := extensiontest.NewNopSettings(metadata.Type)
	if tel != nil {
		set.TelemetrySettings = tel.NewTelemetrySettings()
	}
	ext, err := NewFactory().Create(t.Context(), set, &Config{Directory: dir})
	require.NoError(t, err)
	return watched{ext.(storage.Extension), dir}
}

// backend takes what a queue delivers, while it is told to.
type backend struct {
	mu      sync.Mutex
	up      *sync.Cond
	open    bool
	gone    bool
	arrived []string
	arrival func(name string) // when it is not nil
}

func newBackend(open bool) *backend {
	b := &backend{open: open}
	b.up = sync.NewCond(&b.mu)
	return b
}

func (b *backend) set(open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = open
	b.up.Broadcast()
}

func (b *backend) take(_ context.Context, td ptrace.Traces) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.open && !b.gone {
		b.up.Wait()
	}
	if b.gone {
		return errors.New("gone")
	}
	if td.SpanCount() > 0 {
		name := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name()
		if b.arrived = append(b.arrived, name); b.arrival != nil {
			b.arrival(name)
		}
	}
	return nil
}

func (b *backend) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.arrived...)
}

// start starts a real sending queue in front of a backend.
func start(t testing.TB, dir string, b *backend, consumers int, tel *componenttest.Telemetry) exporter.Traces {
	t.Helper()
	set := exportertest.NewNopSettings(component.MustNewType("otlp_grpc"))
	set.ID = component.MustNewIDWithName("otlp_grpc", "x")
	q := exporterhelper.NewDefaultQueueConfig()
	q.StorageID, q.NumConsumers, q.QueueSize, q.Sizer = &storageID, consumers, 1<<30, exporterhelper.RequestSizerTypeBytes
	exp, err := exporterhelper.NewTraces(t.Context(), set, &struct{}{}, b.take, exporterhelper.WithQueue(configoptional.Some(q)))
	require.NoError(t, err)
	require.NoError(t, exp.Start(t.Context(), host{newStorage(t, tel, dir)}))
	t.Cleanup(func() {
		b.mu.Lock()
		b.gone = true
		b.up.Broadcast()
		b.mu.Unlock()
		_ = exp.Shutdown(context.Background())
	})
	return exp
}

func spans(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(name)
	return td
}

const queueDir = "exporter_otlp_grpc_x_traces"

// killed is what a process that is killed now leaves behind. Nothing is written while it is copied.
func killed(t testing.TB, dir string) string {
	t.Helper()
	living.Lock()
	clients := living.clients[dir]
	living.Unlock()
	for _, c := range clients {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	return copied
}

func names(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprintf("span %03d", n))
	}
	return all
}

func eventually(t *testing.T, want []string, b *backend) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, b.names()) }, 20*time.Second, 5*time.Millisecond)
}

// What was in flight comes again, first and in its order, however often the process dies before it is delivered.
func TestKilledInFlight(t *testing.T) {
	dir := t.TempDir()
	exp := start(t, dir, newBackend(false), 1, nil)
	for _, name := range names(0, 30) {
		require.NoError(t, exp.ConsumeTraces(t.Context(), spans(name)))
	}
	for range 3 { // it starts, takes the first ones, and is killed again
		dir = killed(t, dir)
		start(t, dir, newBackend(false), 5, nil)
		time.Sleep(150 * time.Millisecond)
	}
	b := newBackend(true)
	start(t, killed(t, dir), b, 1, nil)
	eventually(t, names(0, 30), b)
}

// What was delivered before does not come again, but for what was delivered just before.
func TestDeliveredIsGone(t *testing.T) {
	dir := t.TempDir()
	b := newBackend(true)
	exp := start(t, dir, b, 1, nil)
	for _, name := range names(0, 20) {
		require.NoError(t, exp.ConsumeTraces(t.Context(), spans(name)))
	}
	eventually(t, names(0, 20), b)
	b.set(false)
	for _, name := range names(20, 25) {
		require.NoError(t, exp.ConsumeTraces(t.Context(), spans(name)))
	}
	after := newBackend(true)
	start(t, killed(t, dir), after, 1, nil)
	eventually(t, names(20, 25), after)
}

// The queue's end is written without another item to be written with it.
func TestDrainedIsWritten(t *testing.T) {
	dir := t.TempDir()
	b := newBackend(true)
	exp := start(t, dir, b, 1, nil)
	require.NoError(t, exp.ConsumeTraces(t.Context(), spans("a")))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		after := newBackend(true)
		start(t, killed(t, dir), after, 1, nil)
		time.Sleep(20 * time.Millisecond)
		assert.Empty(c, after.names())
	}, 20*time.Second, 10*time.Millisecond)
}

// A random life: nothing that was taken is lost, whenever the process is killed, and little comes twice.
func TestQueueGame(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		dir := t.TempDir()
		arrived := map[string]int{}
		taken := 0
		for life := 0; life < 12; life++ {
			b := newBackend(r.IntN(2) == 0)
			exp := start(t, dir, b, 1+r.IntN(4), nil)
			for range r.IntN(40) {
				require.NoError(t, exp.ConsumeTraces(t.Context(), spans(strconv.Itoa(taken))))
				taken++
				if r.IntN(10) == 0 {
					b.set(r.IntN(2) == 0)
				}
				if r.IntN(4) == 0 {
					time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
				}
			}
			b.set(false)
			dir = killed(t, dir)
			for _, name := range b.names() {
				arrived[name]++
			}
		}
		last := newBackend(true)
		start(t, dir, last, 2, nil)
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			all := map[string]bool{}
			for name := range arrived {
				all[name] = true
			}
			for _, name := range last.names() {
				all[name] = true
			}
			assert.Len(c, all, taken)
		}, 20*time.Second, 10*time.Millisecond, "seed %d", seed)
	}
}

// Bits that flip cost the items that they hit, which are counted; the rest is delivered, and nothing false.
func TestDamagedQueue(t *testing.T) {
	dir := t.TempDir()
	exp := start(t, dir, newBackend(false), 1, nil)
	for _, name := range names(0, 100) {
		require.NoError(t, exp.ConsumeTraces(t.Context(), spans(name)))
	}
	f := func(name string, damage func(file string, content []byte) []byte) {
		t.Helper()
		damaged := killed(t, dir)
		files, err := filepath.Glob(filepath.Join(damaged, queueDir, "*.log"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		content, err := os.ReadFile(files[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(files[0], damage(files[0], content), 0o600))
		tel := componenttest.NewTelemetry()
		b := newBackend(true)
		start(t, damaged, b, 1, tel)
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			counted := counts(t, tel)
			assert.Positive(c, counted["record"], "%s", name)
			lost := 100 - int64(len(b.names()))
			assert.LessOrEqual(c, lost, counted["item"]+counted["record"], "%s: %v", name, counted)
			assert.LessOrEqual(c, counted["item"], lost, "%s: %v", name, counted)
		}, 20*time.Second, 10*time.Millisecond)
		for _, got := range b.names() {
			assert.Contains(t, names(0, 100), got)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		f("a flipped bit", func(_ string, content []byte) []byte {
			content[r.IntN(len(content))] ^= 1 << r.IntN(8)
			return content
		})
	}
	f("a hole", func(_ string, content []byte) []byte {
		clear(content[1000:3000])
		return content
	})
	f("the second half", func(_ string, content []byte) []byte { return content[:len(content)/2] })
}

// counts are those of what is damaged.
func counts(t *testing.T, tel *componenttest.Telemetry) map[string]int64 {
	t.Helper()
	m, err := tel.GetMetric("otelcol_extension_durable_storage_damaged")
	if err != nil {
		return nil
	}
	return points(m)
}

// A write that fails is refused, retryably, and what is stored stays and goes on.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	b := newBackend(false)
	exp := start(t, dir, b, 1, tel)
	for _, name := range names(0, 5) {
		require.NoError(t, exp.ConsumeTraces(t.Context(), spans(name)))
	}
	full := fill(t, filepath.Join(dir, queueDir))
	err := exp.ConsumeTraces(t.Context(), spans("refused"))
	require.ErrorContains(t, err, "cannot write")
	assert.False(t, consumererror.IsPermanent(err), "the sender must try again")
	b.set(true)
	eventually(t, names(0, 5), b) // it is delivered meanwhile
	full()
	require.NoError(t, exp.ConsumeTraces(t.Context(), spans("span 005")))
	eventually(t, names(0, 6), b)
	m, err := tel.GetMetric("otelcol_extension_durable_storage_failed_writes")
	require.NoError(t, err)
	assert.Positive(t, points(m)["other"])
	assert.Empty(t, counts(t, tel), "what was refused is no damage")
	again := componenttest.NewTelemetry()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		after := newBackend(true)
		start(t, killed(t, dir), after, 1, again)
		time.Sleep(20 * time.Millisecond)
		assert.Empty(c, after.names())
	}, 20*time.Second, 10*time.Millisecond)
	assert.Empty(t, counts(t, again))
}
