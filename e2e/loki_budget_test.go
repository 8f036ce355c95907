//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

const hintMetric = "otelcol_processor_loki_hint_"

// count is what a tenant has of the shop, now.
func count(t *testing.T, l *backends.Loki, filter string) int {
	t.Helper()
	sum := l.Query(t, fmt.Sprintf(`sum(count_over_time({service_name="shop"} %s [1h]))`, filter))
	if len(sum) == 0 {
		return 0
	}
	return int(sum[0].Value)
}

func waitCount(t *testing.T, l *backends.Loki, c *harness.Collector, want int) {
	t.Helper()
	proc.Eventually(t, 60*time.Second, func() error {
		if got := count(t, l, ""); got != want {
			return fmt.Errorf("%d of %d lines", got, want)
		}
		return nil
	}, c.Proc, l.Process)
}

// Where Loki loses lines without a word as soon as it has all the streams that it takes, a budget below that loses none.
func TestLokiStreamBudget(t *testing.T) {
	const limit, budget, pods, rounds = 10, 8, 50, 30
	server := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true, Limits: fmt.Sprint("max_global_streams_per_user: ", limit)})
	direct, l := server.As("direct"), server.As("default")
	c := startHint(t, l, fmt.Sprintf(`
processors:
  loki_hint:
    labels: [resource.k8s.namespace.name, resource.k8s.pod.name]
    budget: {max_streams: %d}
`, budget))
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})
	send := func(round int) {
		t.Helper()
		var records []said
		for pod := range pods {
			s := ofShop("k8s.namespace.name", "prod", "k8s.pod.name", fmt.Sprint("p", pod))
			s.body = fmt.Sprintf("round %d", round)
			records = append(records, s)
		}
		if round == rounds-1 {
			slices.Reverse(records)
		}
		pushLogs(t, direct, otlp(records...))
		require.NoError(t, client.SendLogs(otlp(records...)))
	}
	for round := range rounds - 1 {
		send(round)
	}
	waitCount(t, l, c, pods*(rounds-1))
	before := l.Series(t, "")
	// Those who come first after a restart are others, and Loki has the old streams still.
	c.Restart(t)
	send(rounds - 1)
	waitCount(t, l, c, pods*rounds)
	assertNoneRefused(t, l, c)
	assert.ElementsMatch(t, before, l.Series(t, ""))
	assert.LessOrEqual(t, len(l.Series(t, "")), budget)
	for pod := range pods {
		require.Equal(t, rounds, count(t, l, fmt.Sprintf(`| k8s_pod_name="p%d"`, pod)), "pod %d", pod)
	}
	assert.InDelta(t, len(l.Series(t, "")), c.Metric(t, hintMetric+"streams", nil), 0)

	assert.Equal(t, limit*rounds, count(t, direct, ""))
	assert.Equal(t, map[string]float64{"stream_limit": (pods - limit) * rounds}, direct.Discarded(t))
}

// 100,000 lines of a label that explodes, to a Loki with the limits that it has by itself.
func TestLokiExplodingLabel(t *testing.T) {
	const (
		lines, batch, pods, perPod = 100_000, 1000, 20_000, 5
		lokiLimit, hintLimit       = 5000, 500
	)
	server := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true, Limits: "ingestion_rate_mb: 100\ningestion_burst_size_mb: 100"})
	direct, l := server.As("direct"), server.As("default")
	c := startHint(t, l, `
processors:
  loki_hint:
    labels: [resource.k8s.cluster.name, resource.k8s.namespace.name, resource.k8s.container.name, resource.k8s.deployment.name, resource.k8s.pod.name]
`)
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{Gzip: true})
	names, order := mixedPods(lines, pods)
	answers, silent := map[int]int{}, 0.0
	for first := 0; first < lines; first += batch {
		var records []said
		for line := first; line < first+batch; line++ {
			s := ofShop("k8s.namespace.name", "prod", "k8s.container.name", "server", "k8s.deployment.name", "cart", "k8s.pod.name", names[line])
			s.body = fmt.Sprintf("line %d: an order was placed, and it is the only one of its kind", line)
			records = append(records, s)
		}
		require.NoError(t, client.SendLogs(otlp(records...)))
		before := direct.Discarded(t)["stream_limit"]
		status, _ := pushLogs(t, direct, otlp(records...))
		answers[status]++
		if status == http.StatusNoContent {
			silent += direct.Discarded(t)["stream_limit"] - before
		}
	}
	waitCount(t, l, c, lines)
	assertNoneRefused(t, l, c)

	// The first pods are labels; all can be found.
	for i, isLabel := range map[int]bool{0: true, hintLimit - 1: true, hintLimit: false, pods - 1: false} {
		assert.Equal(t, perPod, count(t, l, fmt.Sprintf(`| k8s_pod_name=%q`, order[i])), "pod %d", i)
		assert.Len(t, l.Series(t, fmt.Sprintf(`{k8s_pod_name=%q}`, order[i])), map[bool]int{true: 1}[isLabel], "pod %d", i)
	}
	assert.Len(t, streams(t, l), hintLimit+1)
	page := c.Metrics(t)
	demoted := map[string]string{"label": "k8s_pod_name", "reason": "value"}
	assert.InDelta(t, lines-hintLimit*perPod, page.Sum(hintMetric+"demoted_records", demoted), 0)
	assert.InDelta(t, lines-hintLimit*perPod, page.Sum(hintMetric+"demoted_records", nil), 0)

	// Sent directly, three of four lines are lost, and nobody is told of some of them.
	assert.Equal(t, lokiLimit*perPod, count(t, direct, ""))
	assert.Equal(t, map[string]float64{"stream_limit": lines - lokiLimit*perPod}, direct.Discarded(t))
	assert.NotZero(t, silent)
	t.Logf("without the processor: answers %v, lost %v, of which %v were said to be stored", answers, direct.Discarded(t), silent)
}

// Loki copies what a resource has to each of its lines, so that a request of 3 MB is 10 MB inside, which it takes from nobody, whoever
// asks however often. What goes through the processor is small enough.
func TestLokiLargeRequest(t *testing.T) {
	const lines = 10_000
	server := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true})
	direct, l := server.As("direct"), server.As("default")
	c := startHint(t, l, "")
	resource := pairs{"service.name", "shop"}
	for i := range 20 {
		resource = append(resource, fmt.Sprintf("k8s.pod.annotation.number-%02d", i), "what somebody wrote here")
	}
	logs := plog.NewLogs()
	from := logs.ResourceLogs().AppendEmpty()
	resource.into(from.Resource().Attributes())
	records := from.ScopeLogs().AppendEmpty().LogRecords()
	for i := range lines {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Body().SetStr(fmt.Sprintf("line %d %s", i, strings.Repeat("-", 250)))
		record.Attributes().PutStr("log.iostream", "stdout")
	}
	status, answer := pushLogs(t, direct, logs)
	assert.Contains(t, []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}, status, answer)
	require.NoError(t, harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{Gzip: true}).SendLogs(logs))
	waitCount(t, l, c, lines)
	assert.Equal(t, []map[string]string{service("shop")}, streams(t, l))
	assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_log_records", nil))
	assert.Zero(t, count(t, direct, ""))
}

// streams are those that were sent: Loki takes a stream apart that gets much at a time.
func streams(t *testing.T, l *backends.Loki) []map[string]string {
	t.Helper()
	return slices.DeleteFunc(l.Series(t, ""), func(labels map[string]string) bool { return labels["__stream_shard__"] != "" })
}

// mixedPods gives each line a pod, by chance but always the same one, and the pods in the order in which they come.
func mixedPods(lines, pods int) (ofLine, order []string) {
	seen := map[string]bool{}
	for _, n := range rand.New(rand.NewPCG(1, 2)).Perm(lines) {
		pod := fmt.Sprintf("cart-%05d", n%pods)
		ofLine = append(ofLine, pod)
		if !seen[pod] {
			seen[pod] = true
			order = append(order, pod)
		}
	}
	return ofLine, order
}
