package check

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	collector "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"
	xstorage "go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/sluice-otel/sluice/components/durablestorageextension"
)

// keep is a configuration with a queue for each signal and state of two processors, in dir.
const keep = `
receivers: {otlp: {}, filelog: {storage: file_storage}}
processors: {containerlog: {storage: file_storage}, journal: {deep: [{storage: file_storage/same}], journal: {max_bytes: 1073741824}}}
exporters:
  otlp_grpc/new: {sending_queue: {storage: file_storage, sizer: bytes, queue_size: 1073741824}}
  otlp_grpc/idle: {sending_queue: {storage: file_storage, sizer: bytes, queue_size: 1073741824}}
  trace_shards: {shards: 2, sending_queue: {storage: durable_storage, sizer: bytes, queue_size: 1073741824}}
extensions:
  file_storage: {directory: DIR}
  file_storage/same: {directory: DIR}
  file_storage/unused: {directory: DIR/unused}
  durable_storage: {directory: DIR}
service:
  extensions: [file_storage, file_storage/same, durable_storage]
  pipelines:
    logs: {receivers: [otlp, filelog], processors: [containerlog], exporters: [otlp_grpc/new]}
    metrics: {receivers: [otlp], exporters: [otlp_grpc/new]}
    traces: {receivers: [otlp], processors: [journal], exporters: [otlp_grpc/new, trace_shards]}
`

const gib = 1 << 30

// volume is a fake: real ones of a certain size and fill need root. TestTheRealVolume asks a real one.
func volume(size, free int64, ephemeral string) func(string) (Volume, error) {
	return func(string) (Volume, error) { return Volume{Size: size, Free: free, Ephemeral: ephemeral}, nil }
}

func diskOf(t *testing.T, dir string) *Disk {
	t.Helper()
	d := Read(Input{Config: parseYAML(t, strings.ReplaceAll(keep, "DIR", dir))}).Disk(0.5, durable)
	d.stat = volume(100*gib, 50*gib, "")
	return d
}

// durable is durable_storage's, which a test may import and the engine may not.
func durable(path string) (Contents, error) {
	items, keys, err := durablestorageextension.Look(path)
	if errors.Is(err, durablestorageextension.ErrInUse) {
		err = ErrInUse
	}
	return Contents{Items: items, Keys: keys}, err
}

// put makes a file as a component would, with some keys.
func put(t *testing.T, dir string, kind collector.Kind, id, name string, keys ...string) {
	t.Helper()
	client := open(t, dir, kind, id, name)
	for _, key := range keys {
		require.NoError(t, client.Batch(t.Context(), xstorage.SetOperation(key, []byte("value"))))
	}
	require.NoError(t, client.Close(t.Context()))
}

// openDurably is what durable_storage does for a component.
func openDurably(t *testing.T, dir string, kind collector.Kind, id, name string) xstorage.Client {
	t.Helper()
	factory := durablestorageextension.NewFactory()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), &durablestorageextension.Config{Directory: dir})
	require.NoError(t, err)
	var parsed collector.ID
	require.NoError(t, parsed.UnmarshalText([]byte(id)))
	client, err := ext.(xstorage.Extension).GetClient(t.Context(), kind, parsed, name)
	require.NoError(t, err)
	return client
}

func putDurably(t *testing.T, dir string, kind collector.Kind, id, name string, keys ...string) {
	t.Helper()
	client := openDurably(t, dir, kind, id, name)
	for _, key := range keys {
		require.NoError(t, client.Set(t.Context(), key, []byte("value")))
	}
	require.NoError(t, client.Close(t.Context()))
}

func TestOwnFilesAreNoOrphans(t *testing.T) {
	dir := t.TempDir()
	for _, signal := range []string{"logs", "metrics", "traces"} {
		put(t, dir, collector.KindExporter, "otlp_grpc/new", signal, "qmv0", "0")
	}
	put(t, dir, collector.KindReceiver, "filelog", "", "known")
	put(t, dir, collector.KindProcessor, "containerlog", "", "batch")
	put(t, dir, collector.KindProcessor, "journal", "", "0")
	put(t, dir, collector.KindProcessor, "journal", "second", "0")
	putDurably(t, dir, collector.KindExporter, "trace_shards", "shards", "highest")
	for _, id := range []string{"otlp_grpc/trace_shards-0", "otlp_grpc/trace_shards-1", "otlp_grpc/trace_shards-17"} { // 17 is no more
		putDurably(t, dir, collector.KindExporter, id, "traces", "0")
	}
	for _, name := range []string{"tempdb1", "lost", "README"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	found, usages := diskOf(t, dir).Scan(false)
	assert.Empty(t, found)
	require.Len(t, usages, 1)
	assert.Equal(t, dir, usages[0].Directory)
	assert.Greater(t, usages[0].Owned, int64(7*32768))
	assert.Less(t, usages[0].Owned, int64(8*32768+4*70_000), "and what durable_storage sets aside for a full volume")
	assert.Equal(t, int64(6*gib), usages[0].Capacity)
	assert.Zero(t, usages[0].Orphaned)
}

func TestOrphans(t *testing.T) {
	f := func(kind collector.Kind, id, name string, keys []string, want ID, words ...string) {
		t.Helper()
		dir := t.TempDir()
		put(t, dir, kind, id, name, keys...)
		d := diskOf(t, dir)
		for range 2 { // what was looked at is not looked at again
			found, usages := d.Scan(true)
			require.Len(t, found, 1)
			assert.Equal(t, want, found[0].Check)
			for _, w := range words {
				assert.Contains(t, found[0].String(), w)
			}
			assert.Equal(t, int64(32768), usages[0].Orphaned)
			assert.Zero(t, usages[0].Owned)
		}
		require.NoError(t, os.Rename(found(t, dir), filepath.Join(t.TempDir(), "elsewhere")))
		after, _ := d.Scan(true)
		assert.Empty(t, after)
	}
	f(collector.KindExporter, "otlp/new", "traces", []string{"qmv0", "7", "8"}, OrphanedQueue, "32 KiB", "the queue for traces of the exporter otlp/new", "2 requests", "give the exporter its old name (otlp/new)", "rename it to exporter_otlp_grpc_new_traces")
	f(collector.KindExporter, "otlp_grpc/new", "profiles", []string{"7"}, OrphanedQueue, "give the exporter its old name (otlp_grpc/new) until it is empty, or")
	f(collector.KindExporter, "otlp_grpc/idle", "logs", []string{"7"}, OrphanedQueue, "the exporter is configured, but in no pipeline")
	f(collector.KindExporter, "otlp/new", "traces", []string{"qmv0"}, OrphanedFile, "nothing waits in it", "delete it")
	f(collector.KindExporter, "otlp/new", "traces", nil, OrphanedFile)
	f(collector.KindReceiver, "filelog/old", "", []string{"known"}, OrphanedFile, "the state of the receiver filelog/old")
	f(collector.KindExporter, "otlp_grpc/"+strings.Repeat("x", 240), "logs", []string{"1"}, OrphanedQueue, "of a component with a long name")
}

func found(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

func TestAnyBucketCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter_otlp_old_logs")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("checked"))
		for n := range maxKeys + 10 {
			err = errors.Join(err, b.Put([]byte(strconv.Itoa(n)), []byte("v")))
		}
		return err
	}))
	require.NoError(t, db.Close())
	contents, err := look(path)
	require.NoError(t, err)
	assert.Equal(t, Contents{Items: maxKeys, More: true}, contents)
}

func TestAFileThatIsOpenElsewhere(t *testing.T) {
	dir := t.TempDir()
	own := open(t, dir, collector.KindReceiver, "filelog", "")
	other := open(t, dir, collector.KindExporter, "otlp_grpc/other", "logs")
	d := diskOf(t, dir)
	found, _ := d.Scan(false)
	assert.Equal(t, []string{"directory_in_use " + dir, "directory_in_use " + filepath.Join(dir, "exporter_otlp_grpc_other_logs")}, brief(found))
	found, _ = d.Scan(true) // by then it is this collector that has it open
	assert.Equal(t, []string{"directory_in_use " + filepath.Join(dir, "exporter_otlp_grpc_other_logs")}, brief(found))
	require.NoError(t, errors.Join(own.Close(t.Context()), other.Close(t.Context())))
	found, _ = diskOf(t, dir).Scan(false)
	assert.Equal(t, []string{"orphaned_file " + filepath.Join(dir, "exporter_otlp_grpc_other_logs")}, brief(found))
}

func TestFilesThatWereSetAside(t *testing.T) {
	dir := t.TempDir()
	d := diskOf(t, dir)
	for _, name := range []string{"exporter_otlp_grpc_new_logs.2026-01-02T15:04:05.000.backup", "processor_containerlog_.2026-01-02T15:04:05.000.backup"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 1500), 0o600))
	}
	found, usages := d.Scan(true)
	assert.Equal(t, []string{
		"set_aside_file " + filepath.Join(dir, "exporter_otlp_grpc_new_logs.2026-01-02T15:04:05.000.backup"),
		"set_aside_file " + filepath.Join(dir, "processor_containerlog_.2026-01-02T15:04:05.000.backup"),
	}, brief(found))
	assert.Contains(t, found[0].Problem, "the queue for logs of the exporter otlp_grpc/new")
	assert.Equal(t, int64(3000), usages[0].SetAside)
}

// Whatever is in a file, looking at it neither crashes nor keeps it locked.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	keys := []string{"qmv0"}
	for n := range 500 {
		keys = append(keys, strconv.Itoa(n))
	}
	client := open(t, dir, collector.KindExporter, "otlp_grpc/old", "logs")
	var ops []*xstorage.Operation
	for _, key := range keys {
		ops = append(ops, xstorage.SetOperation(key, make([]byte, 200)))
	}
	require.NoError(t, client.Batch(t.Context(), ops...))
	require.NoError(t, client.Close(t.Context()))
	path := found(t, dir)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	damage := func(change func([]byte) []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, change(slices.Clone(whole)), 0o600))
		list, _ := diskOf(t, dir).Scan(true)
		require.Len(t, list, 1)
		assert.Contains(t, []ID{OrphanedQueue, OrphanedFile}, list[0].Check)
		assert.False(t, isLocked(path))
		// A lock that is shared would keep the component out that owns the file after the next reload.
		db, err := bbolt.Open(filepath.Join(dir, "other"), 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		require.NoError(t, os.Remove(filepath.Join(dir, "other")))
		assert.False(t, isShared(path))
	}
	damage(func(b []byte) []byte { return b })
	damage(func(b []byte) []byte { return b[:100] })
	for cut := 4096; cut < len(whole); cut += 8 * 4096 { // the kernel faults where a mapped file ends too early
		damage(func(b []byte) []byte { return b[:cut] })
	}
	damage(func([]byte) []byte { return []byte("no database") })
	for page := range len(whole) / 4096 { // every page in turn, all of it
		damage(func(b []byte) []byte {
			for i := page * 4096; i < (page+1)*4096; i++ {
				b[i] ^= 0xff
			}
			return b
		})
	}
}

func TestQueuesAndTheirVolume(t *testing.T) {
	f := func(size, free int64, share float64, want ...string) {
		t.Helper()
		dir := t.TempDir()
		put(t, dir, collector.KindExporter, "otlp_grpc/new", "logs", "qmv0", "0")
		d := Read(Input{Config: parseYAML(t, strings.ReplaceAll(keep, "DIR", dir))}).Disk(share, durable)
		d.stat = volume(size, free, "")
		found, usages := d.Scan(true)
		for i := range want {
			want[i] += " " + dir
		}
		assert.Equal(t, append([]string{}, want...), brief(found))
		assert.Equal(t, Volume{Size: size, Free: free}, usages[0].Volume)
		assert.True(t, usages[0].Known)
	}
	f(12*gib, 12*gib, 0.5) // five queues of 1 GiB, two of them of shards, and a journal
	f(12*gib-2, 12*gib, 0.5, "queues_exceed_volume")
	f(12*gib-2, 12*gib, 0.6)
	f(100*gib, 6*gib, 0.5)
	f(100*gib, 6*gib-32768, 0.5) // what the queues have already is theirs
	f(100*gib, 6*gib-32769, 0.5, "volume_low")
	f(1*gib, 0, 0.5, "queues_exceed_volume")
}

func TestVolumes(t *testing.T) {
	dir := t.TempDir()
	d := diskOf(t, dir)
	d.stat = volume(100*gib, 50*gib, "tmpfs, which is memory")
	found, _ := d.Scan(false)
	assert.Equal(t, []string{"directory_ephemeral " + dir}, brief(found))
	d.directories[0].path += "/not/there/yet"
	d.stat = func(path string) (Volume, error) {
		assert.Equal(t, dir, path, "the nearest one that is there")
		return Volume{Size: 100 * gib, Free: 50 * gib}, nil
	}
	found, _ = d.Scan(false)
	assert.Empty(t, found)
	d.stat = func(string) (Volume, error) { return Volume{}, errors.ErrUnsupported }
	found, usages := d.Scan(false)
	assert.Empty(t, found)
	assert.False(t, usages[0].Known)
}

func TestTheRealVolume(t *testing.T) {
	v, err := statVolume(t.TempDir())
	require.NoError(t, err)
	assert.Positive(t, v.Size)
	assert.LessOrEqual(t, v.Free, v.Size)
	if shm, err := statVolume("/dev/shm"); err == nil {
		assert.Equal(t, "tmpfs, which is memory", shm.Ephemeral)
	}
}

func TestADirectoryThatCannotBeListed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	found, _ := diskOf(t, dir).Scan(false)
	assert.Equal(t, "directory_unreadable "+dir, brief(found)[0])
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 32768: "32 KiB", 3 << 20: "3.0 MiB", 5 * gib: "5.0 GiB"} {
		assert.Equal(t, want, bytesOf(n))
	}
}

// A trace_shards that has a name of its own gives it to its shards.
func TestShardsOfANamedExporter(t *testing.T) {
	dir := t.TempDir()
	putDurably(t, dir, collector.KindExporter, "otlp_grpc/trace_shards-eu-0", "traces", "0")
	for id, want := range map[string]int{"trace_shards/eu": 0, "trace_shards/us": 1} {
		d := Read(Input{Config: parseYAML(t, strings.NewReplacer("trace_shards", id, "DIR", dir).Replace(keep))}).Disk(0.5, durable)
		d.stat = volume(100*gib, 50*gib, "")
		list, _ := d.Scan(false)
		assert.Len(t, list, want, id)
	}
}

// The name of a component in use may be as long as it likes.
func TestOwnFilesWithLongNames(t *testing.T) {
	dir, long := t.TempDir(), "otlp_grpc/"+strings.Repeat("x", 240)
	put(t, dir, collector.KindExporter, long, "logs", "0")
	text := strings.NewReplacer("otlp_grpc/new", long, "DIR", dir).Replace(keep)
	d := Read(Input{Config: parseYAML(t, text)}).Disk(0.5, durable)
	d.stat = volume(100*gib, 50*gib, "")
	list, usages := d.Scan(false)
	assert.Empty(t, list)
	assert.Equal(t, int64(32768), usages[0].Owned)
}

// The same with folders of durable_storage.
func TestFolders(t *testing.T) {
	f := func(id, signal string, keys []string, want ID, words ...string) {
		t.Helper()
		dir := t.TempDir()
		putDurably(t, dir, collector.KindExporter, id, signal, keys...)
		list, usages := diskOf(t, dir).Scan(false)
		require.Len(t, list, 1)
		assert.Equal(t, want, list[0].Check)
		for _, w := range words {
			assert.Contains(t, list[0].String(), w)
		}
		assert.Positive(t, usages[0].Orphaned)
		client := openDurably(t, dir, collector.KindExporter, id, signal)
		list, _ = diskOf(t, dir).Scan(false)
		assert.Equal(t, DirectoryInUse, list[0].Check, "while it is open")
		require.NoError(t, client.Close(t.Context()))
	}
	f("otlp/new", "traces", []string{"7", "8"}, OrphanedQueue, "the queue for traces of the exporter otlp/new", ": 2 requests", "give the exporter its old name (otlp/new)")
	f("loadbalancing", "traces", []string{"7"}, OrphanedQueue, ": 1 request ", "give the exporter its old name (loadbalancing) until it is empty, or accept")
	f("trace_shards", "traces", []string{"7"}, OrphanedQueue)
	f("otlp_grpc/other-0", "traces", []string{"7"}, OrphanedQueue)
	f("otlp/new", "traces", []string{}, OrphanedFile)

	dir := t.TempDir()
	client := openDurably(t, dir, collector.KindExporter, "otlp_grpc/trace_shards-0", "traces")
	list, _ := diskOf(t, dir).Scan(false)
	assert.Equal(t, []string{"directory_in_use " + dir}, brief(list))
	list, _ = diskOf(t, dir).Scan(true)
	assert.Empty(t, list)
	require.NoError(t, client.Close(t.Context()))
}

// A folder that is too large to be read is not empty, and is not read.
func TestALargeFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "exporter_otlp__logs")
	require.NoError(t, os.Mkdir(folder, 0o750))
	segment := filepath.Join(folder, "segment")
	require.NoError(t, os.WriteFile(segment, nil, 0o600))
	for size, want := range map[int64]string{maxFolder: "nothing waits", maxFolder + 1: "at least 1 request "} {
		require.NoError(t, os.Truncate(segment, size))
		list, _ := diskOf(t, dir).Scan(false)
		require.Len(t, list, 1)
		assert.Contains(t, list[0].Problem, want)
	}
}

// What one storage has made the other cannot open.
func TestAChangeOfTheStorage(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, collector.KindExporter, "trace_shards", "shards", "0")
	putDurably(t, dir, collector.KindExporter, "otlp_grpc/new", "logs", "0")
	list, usages := diskOf(t, dir).Scan(false)
	assert.Equal(t, []string{"other_storage " + filepath.Join(dir, "exporter_otlp_grpc_new_logs"), "other_storage " + filepath.Join(dir, "exporter_trace_shards__shards")}, brief(list))
	Sort(list)
	assert.Contains(t, list[0].Problem, "was made by durable_storage")
	assert.Contains(t, list[1].Problem, "was made by file_storage")
	assert.Zero(t, usages[0].Owned)
}
