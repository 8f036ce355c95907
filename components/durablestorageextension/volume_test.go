package durablestorageextension

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
)

// volume mounts a small file system, which takes root.
func volume(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a volume that is full needs a mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// ballast takes up what is left of a volume, to the last byte.
func ballast(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer f.Close()
	for n := 1 << 16; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			n /= 2
		}
	}
}

// stuff gives a queue items of about size bytes until it refuses them.
func stuff(t *testing.T, exp exporter.Traces, prefix string, size int) (taken []string) {
	t.Helper()
	for {
		name := prefix + strings.Repeat("x", size) + time.Now().Format("150405.000000000")
		if err := exp.ConsumeTraces(t.Context(), spans(name)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			return taken
		}
		taken = append(taken, name)
	}
}

// A volume without one free byte is emptied by what is delivered: nothing is lost, nothing comes twice, and new data is taken again.
func TestFullVolume(t *testing.T) {
	dir := volume(t, "size=6m")
	tel := componenttest.NewTelemetry()
	b := newBackend(false)
	exp := start(t, dir, b, 2, tel)
	taken := stuff(t, exp, "large", 20_000)
	ballast(t, dir)
	for size := 4096; size > 0; size /= 2 {
		taken = append(taken, stuff(t, exp, "small", size)...)
	}
	b.set(true)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.ElementsMatch(c, taken, b.names()) }, 20*time.Second, 5*time.Millisecond)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NoError(c, exp.ConsumeTraces(context.Background(), spans("after")))
	}, 20*time.Second, 10*time.Millisecond)
	taken = append(taken, "after")
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, b.names(), len(taken)) }, 20*time.Second, 5*time.Millisecond)
	assert.Empty(t, counts(t, tel))
}
