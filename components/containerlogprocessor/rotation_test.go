package containerlogprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// rotating starts a processor with telemetry, and a container whose live file has been renamed.
func rotating(t *testing.T, timeout time.Duration) (*started, *sink, *node, *componenttest.Telemetry) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	next := &sink{}
	p := start(t, next, options{set: &set, cfg: func(c *Config) { c.RotationTimeout = timeout }})
	return p, next, newNode(t), tel
}

const waits = "otelcol_processor_containerlog_rotation_waits"

// filelog reads the rotated and the new file side by side: the new one's first lines wait.
func TestRotatedFileFirst(t *testing.T) {
	p, next, n, tel := rotating(t, time.Hour)
	n.write(cri("out", "F", "1"), cri("out", "F", "2"), cri("out", "P", "3"))
	n.feed(t.Context(), p, n.live(), 1)
	n.rotate()
	n.write(cri("out", "F", "4"), cri("out", "F", "5"))
	done := make(chan struct{})
	go func() {
		n.feed(context.Background(), p, n.live(), 10)
		close(done)
	}()
	time.Sleep(5 * pause)
	assert.Equal(t, []string{"1"}, next.bodies())
	n.feed(t.Context(), p, n.files[0], 1)
	n.feed(t.Context(), p, n.files[0], 1)
	<-done
	assert.Equal(t, []string{"1", "2", "34", "5"}, next.bodies())
	assert.Equal(t, int64(1), sum(t, tel, waits, map[string]string{"result": "drained"}))
}

// Read to its end under its old name: nothing to wait for.
func TestRotatedAfterItsEnd(t *testing.T) {
	p, next, n, tel := rotating(t, time.Hour)
	n.write(cri("out", "F", "1"), cri("out", "P", "2"))
	n.drain(p, 10)
	n.rotate()
	n.write(cri("out", "F", "3"))
	n.drain(p, 10)
	assert.Equal(t, []string{"1", "23"}, next.bodies())
	assert.Equal(t, int64(-1), sum(t, tel, waits, nil))
}

// Nobody reads the rotated file, because the include patterns leave it out or it was read before a restart.
func TestRotatedFileThatNobodyReads(t *testing.T) {
	p, next, n, tel := rotating(t, 3*pause)
	n.write(cri("out", "F", "1"))
	n.rotate()
	n.write(cri("out", "F", "2"))
	n.feed(t.Context(), p, n.live(), 10)
	assert.Equal(t, []string{"2"}, next.bodies())
	assert.Equal(t, int64(1), sum(t, tel, waits, map[string]string{"result": "timeout"}))
}

// The rotated file's batch is refused for longer than the timeout: it is still on its way, and still first.
func TestRotatedFileThatIsRefused(t *testing.T) {
	p, next, n, _ := rotating(t, 2*pause)
	next.setRefuse(busy)
	n.write(cri("out", "F", "1"))
	n.rotate()
	n.write(cri("out", "F", "2"))
	done := make(chan struct{}, 2)
	for _, f := range n.files {
		go func() {
			n.feed(context.Background(), p, f, 10)
			done <- struct{}{}
		}()
		within(t, "it is on its way", func() bool { return next.callCount() > 0 })
	}
	time.Sleep(10 * pause)
	next.setRefuse(nil)
	<-done
	<-done
	assert.Equal(t, []string{"1", "2"}, next.bodies())
}

// Three files, each behind the one before it: the live one waits for a file that itself still waits.
func TestRotatedTwice(t *testing.T) {
	p, next, n, _ := rotating(t, 100*pause) // less than all lines take, more than a busy machine takes for one
	lines := make([]string, 150)
	for i := range lines {
		lines[i] = cri("out", "F", "1")
	}
	n.write(lines...)
	n.checkpoint()
	n.files[0].saved = len(lines)
	n.rotate()
	n.write(cri("out", "F", "2"))
	n.files[1].saved = 1
	n.rotate()
	n.write(cri("out", "F", "3"))
	done := make(chan struct{}, 2)
	for _, f := range n.files[1:] {
		go func() {
			n.feed(context.Background(), p, f, 1)
			done <- struct{}{}
		}()
	}
	for range lines {
		time.Sleep(pause)
		n.feed(t.Context(), p, n.files[0], 1)
	}
	<-done
	<-done
	bodies := next.bodies()
	require.Len(t, bodies, len(lines)+2)
	assert.Equal(t, []string{"1", "2", "3"}, bodies[len(lines)-1:])
}

// Shutdown does not wait.
func TestStopWhileWaitingForTheRotatedFile(t *testing.T) {
	p, next, n, _ := rotating(t, time.Hour)
	n.write(cri("out", "F", "1"))
	n.rotate()
	n.write(cri("out", "F", "2"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*pause)
	defer cancel()
	n.feed(ctx, p, n.live(), 10)
	assert.Equal(t, []string{"2"}, next.bodies())
}
