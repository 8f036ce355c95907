package harness

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	f := func(configs, gates []string, want ...string) {
		t.Helper()
		assert.Equal(t, want, arguments(configs, gates))
	}
	f([]string{"a.yaml", "yaml:b"}, nil, "--config=a.yaml", "--config=yaml:b")
	f([]string{"a.yaml"}, []string{"x", "-y"}, "--feature-gates=x,-y", "--config=a.yaml")
}

func TestMissingBinarySaysWhatToDo(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "e2e", "x")
	require.NoError(t, os.MkdirAll(deep, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module github.com/sluice-otel/sluice\n"), 0o600))
	// A nested module, as those that pin backends, is not the repository.
	require.NoError(t, os.WriteFile(filepath.Join(deep, "go.mod"), []byte("module github.com/sluice-otel/sluice/e2e/x\n"), 0o600))
	t.Chdir(deep)
	assert.Equal(t, root, Root(t))
	r := record(t, func(tb testing.TB) { Binary(tb) })
	assert.Equal(t, "bin/otelcol is missing: run make build\n", r.said)
}

func TestOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	r := record(t, func(tb testing.TB) { Root(tb) })
	assert.Contains(t, r.said, "not inside the repository")
}

func TestWaitSaysWhatIsMissing(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	r := record(t, func(tb testing.TB) {
		sink.WaitSpans(tb, time.Millisecond, AtLeast[SpanRecord](3))
	})
	assert.Contains(t, r.said, "0 of 3 harness.SpanRecords so far")
	r = record(t, func(tb testing.TB) {
		sink.WaitLogs(tb, time.Millisecond, func([]LogRecord) error { return errors.New("no label yet") })
	})
	assert.Contains(t, r.said, "no label yet")
}
