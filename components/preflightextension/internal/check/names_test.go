package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	xstorage "go.opentelemetry.io/collector/extension/xextension/storage"
)

// fileStorage is upstream's extension, on a directory.
func fileStorage(t *testing.T, dir string) xstorage.Extension {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, ext.Shutdown(t.Context())) })
	return ext.(xstorage.Extension)
}

func open(t *testing.T, dir string, kind collector.Kind, id, name string) xstorage.Client {
	t.Helper()
	var parsed collector.ID
	require.NoError(t, parsed.UnmarshalText([]byte(id)))
	client, err := fileStorage(t, dir).GetClient(t.Context(), kind, parsed, name)
	require.NoError(t, err)
	return client
}

// The names of upstream's files are those that are expected, and are understood.
func TestNamesAreUpstreams(t *testing.T) {
	f := func(kind collector.Kind, word, id, name, file string, whose owner) {
		t.Helper()
		dir := t.TempDir()
		require.NoError(t, open(t, dir, kind, id, name).Close(t.Context()))
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		parts := []string{word, typeOf(id), nameOf(id)}
		if name != "" {
			parts = append(parts, name)
		}
		assert.Equal(t, file, entries[0].Name())
		assert.Equal(t, file, fileName(parts...))
		k, client := kindOf(file)
		assert.Equal(t, data, k)
		assert.Equal(t, file, client)
		assert.Equal(t, whose, parse(file, nil))
	}
	f(collector.KindExporter, "exporter", "otlp", "traces", "exporter_otlp__traces", owner{"exporter", "otlp", "traces"})
	f(collector.KindExporter, "exporter", "otlp_grpc", "logs", "exporter_otlp_grpc__logs", owner{"exporter", "otlp_grpc", "logs"})
	f(collector.KindExporter, "exporter", "otlp_grpc/gateway_logs", "logs", "exporter_otlp_grpc_gateway_logs_logs", owner{"exporter", "otlp_grpc/gateway_logs", "logs"})
	f(collector.KindExporter, "exporter", "otlp/a/bü", "metrics", "exporter_otlp_a~002Fb~00FC_metrics", owner{"exporter", "otlp/a/bü", "metrics"})
	f(collector.KindExporter, "exporter", "never_seen", "metrics", "exporter_never_seen__metrics", owner{"exporter", "never_seen", "metrics"})
	f(collector.KindReceiver, "receiver", "filelog", "", "receiver_filelog_", owner{"receiver", "filelog", ""})
	f(collector.KindProcessor, "processor", "loki_hint/2", "", "processor_loki_hint_2", owner{"processor", "loki_hint/2", ""})
	f(collector.KindConnector, "connector", "failover/x", "", "connector_failover_x", owner{"connector", "failover_x", ""})
	f(collector.KindExtension, "extension", "opamp", "", "extension_opamp_", owner{"extension", "opamp", ""})
}

func TestTypesOfTheConfigurationAreKnown(t *testing.T) {
	assert.Equal(t, "failover/x", parse("connector_failover_x", []string{"fail", "failover"}).id)
	assert.Equal(t, "otlp/x", parse("exporter_otlp_x_logs", nil).id)
}

// A name that the file system does not take is replaced by its hash.
func TestLongNamesAreUpstreams(t *testing.T) {
	dir, long := t.TempDir(), "otlp_grpc/"+strings.Repeat("x", 240)
	require.NoError(t, open(t, dir, collector.KindExporter, long, "logs").Close(t.Context()))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Equal(t, hashName(fileName("exporter", "otlp_grpc", nameOf(long), "logs")), entries[0].Name())
	kind, _ := kindOf(entries[0].Name())
	assert.Equal(t, hashed, kind)
}

func TestKindOfOtherFiles(t *testing.T) {
	f := func(name string, want fileKind, client string) {
		t.Helper()
		kind, c := kindOf(name)
		assert.Equal(t, want, kind, name)
		assert.Equal(t, client, c, name)
	}
	f("exporter_otlp__logs.2026-01-02T15:04:05.000.backup", setAside, "exporter_otlp__logs")
	f("exporter_otlp_a.b_logs.2026-01-02T15:04:05.000.backup", setAside, "exporter_otlp_a.b_logs")
	f("exporter_otlp__logs.backup", setAside, "exporter_otlp__logs")
	f(strings.Repeat("0a", 32)+".2026-01-02T15:04:05.000.backup", setAside, strings.Repeat("0a", 32))
	f(strings.Repeat("0A", 32), foreign, "")
	f("tempdb123", scratch, "")
	f("lost+found", foreign, "")
	f("notes.backup", foreign, "")
	f("exporter", foreign, "")
	f("exporter_", foreign, "")
	f(".backup", foreign, "")
	f("", foreign, "")
}

func FuzzNames(f *testing.F) {
	f.Add("exporter_otlp_a~002Fb~0020_metrics", "otlp")
	f.Add("exporter_otlp__logs.2026-01-02T15:04:05.000.backup", "")
	f.Add("~~00~FFFF", "a_b")
	f.Fuzz(func(t *testing.T, name, kind string) {
		_, client := kindOf(name)
		_ = parse(client, []string{kind}).String()
		_ = parse(name, []string{kind}).String()
		safe := sanitize(name)
		if filepath.Base("x"+safe) != "x"+safe {
			t.Fatalf("%q is not a file's name", safe)
		}
		for _, r := range name {
			if r > 0xffff || r == 0xfffd {
				return
			}
		}
		if back := unsanitize(safe); back != name {
			t.Fatalf("%q came back as %q", name, back)
		}
	})
}
