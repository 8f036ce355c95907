//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// withoutJournal is the sampling profile with upstream's processor.
const withoutJournal = `
processors:
  tail_sampling: ${file:%s}
service: {pipelines: {traces: {processors: [memory_limiter, tail_sampling]}}}
`

// TestSamplingCost prints the CPU time of a sampler with and without the journal. SLUICE_COMPARE switches it on.
func TestSamplingCost(t *testing.T) {
	if os.Getenv("SLUICE_COMPARE") == "" {
		t.Skip("SLUICE_COMPARE is not set")
	}
	for range 3 {
		for _, journal := range []bool{false, true} {
			sink := harness.StartSink(t, harness.SinkOptions{})
			tier := tiers.Tier{Profile: "sampling", Backends: []string{"backends/lgtm"}, Env: tiers.With(tiers.ToSink(t, sink), map[string]string{
				"SAMPLING_DECISION_WAIT": "3s", "SAMPLING_NUM_TRACES": "500000", "SAMPLING_CACHE_SIZE": "5000000",
			})}
			if !journal {
				tier.Override = fmt.Sprintf(withoutJournal, upstreamPolicies(t))
			}
			c := tiers.Start(t, nil, tier)
			t.Logf("RESULT sampler, journal %t: %.2f CPU s per million spans", journal, cpuPerMillion(t, c, func() error {
				if n := c.Metric(t, "otelcol_processor_tail_sampling_global_count_traces_sampled", nil); n < costTraces {
					return fmt.Errorf("%v traces are decided", n)
				}
				return nil
			}))
			c.Stop(t)
		}
	}
}

const costTraces = 20_000

// cpuPerMillion sends traces to a collector, as a gateway would, and waits until done.
func cpuPerMillion(t *testing.T, c *harness.Collector, done func() error) float64 {
	t.Helper()
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{Gzip: true, Timeout: time.Minute})
	traces := traffic(costTraces, 9, time.Now())
	before, spans := cpuSeconds(t, c.Proc), 0
	var batch []harness.Span
	for i, tr := range traces {
		batch = append(batch, tr.spans...)
		if len(batch) >= 2000 || i == len(traces)-1 {
			require.NoError(t, client.SendTraces(harness.Traces(batch...)))
			spans += len(batch)
			batch = batch[:0]
		}
	}
	proc.Eventually(t, time.Minute, done, c.Proc)
	return (cpuSeconds(t, c.Proc) - before) / float64(spans) * 1e6
}

// cpuSeconds is what a process has used.
func cpuSeconds(t *testing.T, p *proc.Process) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	ticks := 0
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return float64(ticks) / 100
}

// upstreamPolicies is the shipped configuration of the processor, less the journal, as a file of its own.
func upstreamPolicies(t *testing.T) string {
	t.Helper()
	profile, err := os.ReadFile(harness.Root(t) + "/configs/sampling.yaml")
	require.NoError(t, err)
	_, block, _ := strings.Cut(string(profile), "  durable_tail_sampling:\n")
	block, _, _ = strings.Cut(block, "\nconnectors:")
	var lines []string
	for line := range strings.SplitSeq(block, "\n") {
		lines = append(lines, strings.TrimPrefix(line, "    "))
	}
	_, rest, _ := strings.Cut(strings.Join(lines, "\n"), "decision_wait:")
	file := t.TempDir() + "/tail_sampling.yaml"
	require.NoError(t, os.WriteFile(file, []byte("decision_wait:"+rest), 0o600))
	return file
}
