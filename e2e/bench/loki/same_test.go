package loki

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/lokihintprocessor"
)

// TestSame: what is held against each other does the same. A record of each arm is the labels that Loki makes of its resource, and the rest.
func TestSame(t *testing.T) {
	for _, l := range loads {
		if l.broken || l.fresh { // there upstream cannot do it
			continue
		}
		l.resources, l.records = min(l.resources, 20), 10
		var want []string
		f := newFeed(t, l.load)
		for _, a := range l.arms {
			if a.name == "noop" {
				continue
			}
			t.Run(l.name+"/"+a.name, func(t *testing.T) {
				out := new(consumertest.LogsSink)
				f.round = 0
				require.NoError(t, a.start(t, out)(t.Context(), f.batch(t)))
				got := stored(t, out, index(t, l.arms[1]))
				require.Len(t, got, l.resources*l.records)
				if want == nil {
					want = got
				}
				for i := range want {
					require.Equal(t, want[i], got[i])
				}
			})
		}
	}
}

// index are the attributes that Loki makes labels of.
func index(t *testing.T, hint arm) []string {
	t.Helper()
	own, err := resolve(t, hint.files).Sub("processors::loki_hint")
	require.NoError(t, err)
	cfg := lokihintprocessor.NewFactory().CreateDefaultConfig().(*lokihintprocessor.Config)
	own.Delete("storage")
	require.NoError(t, own.Unmarshal(cfg))
	plan, err := cfg.Plan()
	require.NoError(t, err)
	return plan.Index
}

var illegal = regexp.MustCompile("[^A-Za-z0-9]+")

// stored are the records as Loki has them: labels by their exact keys, everything else by the names of LogQL.
func stored(t *testing.T, out *consumertest.LogsSink, index []string) (list []string) {
	t.Helper()
	for _, ld := range out.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			labels, shared := map[string]any{}, map[string]any{}
			for k, v := range rl.Resource().Attributes().All() {
				if slices.Contains(index, k) {
					labels[k] = v.AsRaw()
				} else {
					add(t, shared, k, v)
				}
			}
			for _, sl := range rl.ScopeLogs().All() {
				assert.Zero(t, sl.Scope().Attributes().Len())
				for _, lr := range sl.LogRecords().All() {
					metadata := maps.Clone(shared)
					for k, v := range lr.Attributes().All() {
						add(t, metadata, k, v)
					}
					list = append(list, fmt.Sprint(labels, metadata, lr.Timestamp(), lr.SeverityNumber(), lr.SeverityText(), lr.Body().Str()))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

func add(t *testing.T, to map[string]any, key string, v pcommon.Value) {
	t.Helper()
	name := illegal.ReplaceAllString(key, "_")
	assert.NotContains(t, to, name)
	to[name] = v.AsRaw()
}
