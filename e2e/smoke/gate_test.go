//go:build e2e

package smoke

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// Without a word on the command line a file's offset follows delivery; who turns that off is warned.
func TestFileOffsetsFollowDelivery(t *testing.T) {
	f := func(want, never string, gates ...string) {
		t.Helper()
		c := harness.StartCollector(t, harness.Options{Configs: []string{"configs/local.yaml", "configs/backends/debug.yaml"}, Gates: gates})
		c.Stop(t)
		assert.Contains(t, c.Proc.Output(), want)
		assert.NotContains(t, c.Proc.Output(), never)
	}
	const on, off = "file offsets follow delivery", "file offsets run ahead of delivery"
	f(on, off)
	f(off, on, "-stanza.synchronousLogEmitter")
}
