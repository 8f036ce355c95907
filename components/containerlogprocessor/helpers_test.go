package containerlogprocessor

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

const (
	podDir  = "/var/log/pods/shop_cart-0_0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01/cart/"
	podPath = podDir + "0.log"
	stamp   = "2026-03-01T10:20:30.123456789Z"
)

var storageID = component.MustNewID("file_storage")

// sink is the next component: it keeps what it accepts and refuses while refuse says so.
type sink struct {
	mu      sync.Mutex
	records []record
	calls   int
	refuse  func(call int) error
}

// record is what a test wants to see of one.
type record struct {
	Body     string
	Time     int64
	Stream   string
	Partial  string
	Error    string
	Path     string
	Resource map[string]any
	Attrs    map[string]any
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.refuse != nil {
		if err := s.refuse(s.calls); err != nil {
			return err
		}
	}
	s.records = append(s.records, recordsOf(ld)...)
	return nil
}

func (s *sink) setRefuse(f func(call int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

func (s *sink) callCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *sink) all() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

func (s *sink) bodies() []string { return bodiesOf(s.all()) }

func bodiesOf(records []record) []string {
	bodies := make([]string, 0, len(records))
	for _, r := range records {
		body := r.Body
		if r.Partial != "" {
			body += "|" + r.Partial
		}
		if r.Error != "" {
			body += "|" + r.Error
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func recordsOf(ld plog.Logs) (records []record) {
	for _, rl := range ld.ResourceLogs().All() {
		resource := rl.Resource().Attributes().AsRaw()
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				attrs := lr.Attributes().AsRaw()
				str := func(key string) string { v, _ := attrs[key].(string); delete(attrs, key); return v }
				records = append(records, record{
					Body: lr.Body().Str(), Time: int64(lr.Timestamp()), Stream: str(iostream), Partial: str(partial),
					Error: str(parseError), Path: str(filePath), Resource: resource, Attrs: attrs,
				})
			}
		}
	}
	return records
}

// host has a real file_storage extension over dir.
type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

func newHost(t testing.TB, dir string) host {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	set := extension.Settings{ID: storageID, TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	ext, err := f.Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return host{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{storageID: ext}}
}

// options say how a test wants its processor.
type options struct {
	dir string // of the storage; none when empty
	cfg func(*Config)
	set *processor.Settings
	now func() time.Time
}

// started is a processor that a test started.
type started struct {
	*containerlog
	stopOnce func(testing.TB)
}

func start(t testing.TB, next consumer.Logs, o options) *started {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	h := componenttest.NewNopHost()
	if o.dir != "" {
		cfg.Storage = &storageID
		h = newHost(t, o.dir)
	}
	if o.cfg != nil {
		o.cfg(cfg)
	}
	require.NoError(t, cfg.Validate())
	set := processortest.NewNopSettings(metadata.Type)
	if o.set != nil {
		set = *o.set
	}
	p, err := newProcessor(set, cfg, next)
	require.NoError(t, err)
	if o.now != nil {
		p.now = o.now
	}
	require.NoError(t, p.Start(t.Context(), h))
	var once sync.Once
	s := &started{containerlog: p}
	s.stopOnce = func(tb testing.TB) {
		once.Do(func() { require.NoError(tb, p.Shutdown(context.Background())) })
	}
	t.Cleanup(func() { s.stopOnce(t) })
	return s
}

// kill ends it the way SIGKILL does, as far as can be: nothing is flushed, the storage stays as it is.
func (s *started) kill(t testing.TB) {
	t.Helper()
	s.stopOnce = func(testing.TB) {}
	s.stop()
	s.running.Wait()
	require.NoError(t, s.journal.close(context.Background()))
}

// logFile makes filelog's batches of one file.
type logFile struct {
	path   string
	offset int64
	lines  []string
}

// batch is what filelog gives for lines, with the offsets they have in the file.
func (f *logFile) batch(lines ...string) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	f.append(records, lines...)
	return ld
}

func (f *logFile) append(records plog.LogRecordSlice, lines ...string) {
	for _, line := range lines {
		lr := records.AppendEmpty()
		lr.Body().SetStr(line)
		lr.SetObservedTimestamp(1)
		lr.Attributes().PutStr(filePath, f.path)
		lr.Attributes().PutInt(recordOffset, f.offset)
		f.offset += int64(len(line)) + 1
		f.lines = append(f.lines, line)
	}
}

// cri is a CRI line: tag P or F, out or err.
func cri(stream, tag, content string) string {
	return stamp + " std" + stream + " " + tag + " " + content
}

func send(t testing.TB, p *started, ld plog.Logs) {
	t.Helper()
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
}

func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timed out waiting until " + what)
		}
	}
}

func split(text string) []string { return strings.Split(text, "\n") }
