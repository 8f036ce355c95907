//go:build e2e

package e2e

import (
	"fmt"
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
)

// service_name is not counted, whether it was sent or made up.
func lokiLabelCount(t *testing.T, l *lokiFacts) {
	f := func(names int, first ...any) {
		t.Helper()
		resource, want := pairs(first), service("innocent")
		for _, key := range lokiIndex[1:] {
			if len(resource)/2 < names {
				resource = append(resource, key, "v")
			}
		}
		for pair := range slices.Chunk(resource, 2) {
			want[strings.ReplaceAll(pair[0].(string), ".", "_")] = pair[1].(string)
		}
		if _, sent := want["service_name"]; sent && len(first) == 0 {
			want["service_name"] = "v" // what a container's name is
		}
		got, _ := fateOf(t, l.tenant(), said{resource: resource})
		if names <= 15+len(first)/2 {
			assert.Equal(t, kept(want, map[string]string{}), got)
			return
		}
		assert.Equal(t, fate{
			// Whoever adds up the reasons counts the line twice.
			status: http.StatusBadRequest, other: true, refused: map[string]float64{"max_label_names_per_series": 1, "invalid_labels": 1},
		}, got)
	}
	f(15)
	f(16)
	f(16, "service.name", "shop")
	f(17, "service.name", "shop")
	f(18, "service.name", "shop")
}

// What is refused costs the exporter the request, and the store only the line.
func lokiLimits(t *testing.T, l *lokiFacts) {
	f := func(s said, reasons ...string) {
		t.Helper()
		got, _ := fateOf(t, l.tenant(), s)
		if len(reasons) == 0 {
			assert.Equal(t, http.StatusNoContent, got.status)
			assert.NotNil(t, got.labels)
			return
		}
		want := fate{status: http.StatusBadRequest, other: true, refused: map[string]float64{}}
		for _, reason := range reasons {
			want.refused[reason] = 1
		}
		assert.Equal(t, want, got)
	}
	at := func(age time.Duration) said {
		s := ofShop()
		s.record = func(r plog.LogRecord) { r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-age))) }
		return s
	}
	size := func(bytes int) string { return strings.Repeat("v", bytes) }
	attributes := func(n int) (p pairs) {
		for i := range n {
			p = append(p, fmt.Sprint("a", i), "v")
		}
		return p
	}
	spread := func(n int) said { // over resource, scope and record
		return said{resource: ofShop("r", size(n/2-1)).resource, scope: pairs{"s", size(n/4 - 1)}, attrs: pairs{"a", size(n/4 - 1)}}
	}
	f(ofShop("cloud.region", size(2049)), "label_value_too_long", "invalid_labels")
	f(ofShop("cloud.region", strings.Repeat("é", 1025)), "label_value_too_long", "invalid_labels") // bytes count
	f(ofShop("cloud.region", map[string]any{size(1024): "v"}), "label_name_too_long", "invalid_labels")
	f(ofShop(size(3000), size(3000))) // of what is no label, only the sum counts
	f(spread(64 << 10))
	f(spread(64<<10+4), "structured_metadata_too_large")
	f(said{resource: ofShop().resource, attrs: attributes(128)})
	f(said{resource: ofShop("r", "v").resource, attrs: attributes(128)}, "structured_metadata_too_many")
	f(said{resource: ofShop().resource, body: size(256 << 10)})
	f(said{resource: ofShop().resource, body: size(256<<10 + 1)}, "line_too_long")
	f(at(7*24*time.Hour - time.Minute))
	f(at(7*24*time.Hour+time.Minute), "greater_than_max_sample_age")
	f(at(-9 * time.Minute))
	f(at(-11*time.Minute), "too_far_in_future")
	f(said{resource: ofShop().resource, record: func(r plog.LogRecord) { r.SetTimestamp(0) }})
}

// A stream too many is refused; yet whether the sender is told depends on which stream of the request comes last, by chance.
func lokiStreamLimit(t *testing.T, l *lokiFacts) {
	const pods, limit = 50, 10
	few := l.As("few")
	answers := map[int]int{}
	for round := 1; answers[http.StatusNoContent] == 0 || answers[http.StatusTooManyRequests] == 0; round++ {
		require.Less(t, round, 300, "answers: %v", answers)
		var records []said
		for i := range pods {
			records = append(records, ofShop("k8s.pod.name", fmt.Sprint("pod-", i)))
		}
		status, _ := pushLogs(t, few, otlp(records...))
		answers[status]++
		require.Equal(t, map[string]float64{"stream_limit": float64(round * (pods - limit))}, few.Discarded(t), "answer %d", status)
	}
	assert.Len(t, answers, 2, "%v", answers)
	assert.Len(t, few.Series(t, `{service_name="shop"}`), limit)
	t.Logf("answers: %v", answers)
}

// The same chance decides whether anybody learns of a line that is more than an hour behind its stream.
func lokiLate(t *testing.T, l *lokiFacts) {
	tenant := l.tenant()
	answers := map[int]int{}
	for round := 1; answers[http.StatusNoContent] == 0 || answers[http.StatusBadRequest] == 0; round++ {
		require.Less(t, round, 300, "answers: %v", answers)
		late := ofShop()
		late.record = func(r plog.LogRecord) {
			r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-61 * time.Minute)))
		}
		pushLogs(t, tenant, otlp(ofShop()))
		status, _ := pushLogs(t, tenant, otlp(late, said{resource: pairs{"service.name", fmt.Sprint("other-", round%5)}}))
		answers[status]++
		require.Equal(t, map[string]float64{"too_far_behind": float64(round)}, tenant.Discarded(t), "answer %d", status)
	}
	// Nothing is late in a stream of its own.
	late := ofShop("k8s.pod.name", "late")
	late.record = func(r plog.LogRecord) { r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-24 * time.Hour))) }
	got, _ := fateOf(t, l.tenant(), late)
	assert.Equal(t, kept(service("shop", "k8s_pod_name", "late"), map[string]string{}), got)
}

// With one more setting nothing is late, and the same selector finds it. Yet each hour of each label set is a stream of its own then, with
// a label that says so: a long outage of many sources may need more streams than there may be.
func lokiTimeShards(t *testing.T, l *lokiFacts) {
	timed := l.As("timed")
	send := func(ages ...time.Duration) {
		t.Helper()
		var records []said
		for i, age := range ages {
			s := ofShop()
			s.record = func(r plog.LogRecord) { r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-age))) }
			records = append(records, s, said{resource: pairs{"service.name", fmt.Sprint("other-", i%3)}})
		}
		pushLogs(t, timed, otlp(records...))
	}
	send(0)
	send(65*time.Minute, 3*time.Hour, 48*time.Hour)
	send(48*time.Hour, 0, 65*time.Minute)
	assert.Empty(t, timed.Discarded(t))
	assert.Len(t, timed.Lines(t, `{service_name="shop"}`), 7)
	assert.Equal(t, []backends.Sample{{Labels: service("shop"), Value: 7}}, timed.Query(t, `sum by (service_name) (count_over_time({service_name="shop"}[7d]))`))
	recent := 0
	series := timed.Series(t, `{service_name="shop"}`)
	for _, labels := range series {
		if shard, ok := labels["__time_shard__"]; ok {
			assert.Regexp(t, `^\d{10}_\d{10}$`, shard)
		} else {
			recent++
		}
	}
	assert.Len(t, series, 4)
	assert.Equal(t, 1, recent)

	for hours := range 10 {
		send(time.Duration(hours+5) * time.Hour)
	}
	assert.Contains(t, timed.Discarded(t), "stream_limit")
}

func lokiTenants(t *testing.T, l *lokiFacts) {
	f := func(tenant string, want int) {
		t.Helper()
		status, _ := pushLogs(t, l.As(tenant), otlp(ofShop()))
		assert.Equal(t, want, status, tenant)
	}
	long := strings.Repeat("t", 150)
	for _, tenant := range []string{long, "A", "1", "__x", "!-_.*'()", "..."} {
		f(tenant, http.StatusNoContent)
	}
	for _, tenant := range []string{long + "t", ".", "..", "a|b", "a/b", "a b", "a,b", "a@b", "a;b", "a=b", "ä"} {
		f(tenant, http.StatusBadRequest)
	}
	f("", http.StatusUnauthorized)
	// What follows a colon is thrown away: a tenant could be made to look like another one.
	f("victim:guest", http.StatusNoContent)
	assert.Equal(t, []map[string]string{service("shop")}, l.As("victim").Series(t, ""))
}

// A line that is there already, with the same time and metadata, is taken and not stored again.
func lokiDoubledLines(t *testing.T, l *lokiFacts) {
	tenant := l.tenant()
	now := pcommon.NewTimestampFromTime(time.Now())
	said := func(pod string) said {
		s := ofShop("pod", pod)
		s.record = func(r plog.LogRecord) { r.SetTimestamp(now) }
		return s
	}
	for range 2 {
		status, _ := pushLogs(t, tenant, otlp(said("1"), said("2"), said("1")))
		require.Equal(t, http.StatusNoContent, status)
	}
	pods := map[string]int{}
	for _, line := range tenant.Lines(t, `{service_name="shop"}`) {
		pods[line.Metadata["pod"]]++
	}
	assert.Equal(t, map[string]int{"1": 1, "2": 1}, pods)
	assert.Empty(t, tenant.Discarded(t))
}
