package durablestorageextension

import (
	"context"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
)

// lines are what filelog hands on at once: 100 records of a file.
func lines() plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("k8s.pod.name", "cart-7c9f6d8b5-x2x4z")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for range 100 {
		r := records.AppendEmpty()
		r.Body().SetStr(strings.Repeat("GET /cart 200 ", 14))
		r.Attributes().PutStr("log.iostream", "stdout")
	}
	return ld
}

func upstream(b *testing.B, fsync bool) storage.Extension {
	b.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory, cfg.FSync = b.TempDir(), fsync
	ext, err := f.Create(b.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(b, err)
	return ext.(storage.Extension)
}

func ours(b *testing.B, fsync bool) storage.Extension {
	b.Helper()
	ext, err := NewFactory().Create(b.Context(), extensiontest.NewNopSettings(NewFactory().Type()), &Config{Directory: b.TempDir(), Fsync: fsync})
	require.NoError(b, err)
	return ext.(storage.Extension)
}

// BenchmarkQueue is a request through a real sending queue, to a backend that takes it at once.
func BenchmarkQueue(b *testing.B) {
	run := func(b *testing.B, ext storage.Extension) {
		b.Helper()
		q := exporterhelper.NewDefaultQueueConfig()
		q.NumConsumers, q.QueueSize, q.Sizer, q.BlockOnOverflow = 2, 8<<20, exporterhelper.RequestSizerTypeBytes, true
		if ext != nil {
			q.StorageID = &storageID
		}
		done := make(chan struct{}, 1024)
		exp, err := exporterhelper.NewLogs(b.Context(), exportertest.NewNopSettings(component.MustNewType("x")), &struct{}{},
			func(context.Context, plog.Logs) error { done <- struct{}{}; return nil }, exporterhelper.WithQueue(configoptional.Some(q)))
		require.NoError(b, err)
		require.NoError(b, exp.Start(b.Context(), host{ext}))
		ld := lines()
		b.ReportAllocs()
		b.ResetTimer()
		go func() {
			for range b.N {
				if exp.ConsumeLogs(context.Background(), ld) != nil {
					panic("refused")
				}
			}
		}()
		for range b.N {
			<-done
		}
		b.StopTimer()
		require.NoError(b, exp.Shutdown(context.Background()))
	}
	b.Run("memory", func(b *testing.B) { run(b, nil) })
	b.Run("durable_storage", func(b *testing.B) { run(b, ours(b, false)) })
	b.Run("file_storage", func(b *testing.B) { run(b, upstream(b, false)) })
	b.Run("durable_storage/fsync", func(b *testing.B) { run(b, ours(b, true)) })
	b.Run("file_storage/fsync", func(b *testing.B) { run(b, upstream(b, true)) })
}
