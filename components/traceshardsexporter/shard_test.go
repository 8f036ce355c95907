package traceshardsexporter

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/batchpersignal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func traceID(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// Another answer would split traces between gateways of two versions.
func TestShardOfNeverChanges(t *testing.T) {
	var got []int
	for n := range uint64(16) {
		got = append(got, shardOf(traceID(n), 5))
	}
	assert.Equal(t, []int{0, 4, 1, 1, 4, 2, 2, 1, 3, 4, 0, 1, 4, 3, 3, 3}, got)
}

// Ids that count up are spread evenly, and with one shard more only the new one's share moves.
func TestShardOfSpreads(t *testing.T) {
	const ids = 100_000
	for shards := 1; shards <= 9; shards++ {
		counts, moved := make([]int, shards), 0
		for n := range uint64(ids) {
			shard := shardOf(traceID(n), shards)
			counts[shard]++
			if more := shardOf(traceID(n), shards+1); more != shard {
				moved++
				require.Equal(t, shards, more, "a trace moved to a shard that is not new")
			}
		}
		for i, n := range counts {
			assert.InEpsilon(t, ids/shards, n, 0.05, "shard %d of %d", i, shards)
		}
		assert.InEpsilon(t, ids/(shards+1), moved, 0.05, "moved from %d shards", shards)
	}
}

// batch has several resources and scopes, with spans of few traces mixed.
func batch(spans, ids int, seed uint64) ptrace.Traces {
	r := rand.New(rand.NewPCG(seed, 0))
	td := ptrace.NewTraces()
	for left := spans; left > 0; {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("resource schema")
		rs.Resource().Attributes().PutInt("resource", int64(left))
		for scopes := 1 + r.IntN(2); scopes > 0 && left > 0; scopes-- {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl("scope schema")
			ss.Scope().SetName("scope")
			for range 1 + r.IntN(20) {
				if left == 0 {
					break
				}
				left--
				s := ss.Spans().AppendEmpty()
				s.SetTraceID(traceID(uint64(r.IntN(ids))))
				s.SetName("GET /cart")
				s.Attributes().PutStr("http.route", "/cart")
				s.Attributes().PutInt("number", int64(left))
			}
		}
	}
	return td
}

// seen is each span's number with what surrounds it.
func seen(td ptrace.Traces) map[int64]string {
	m := map[int64]string{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				n, _ := s.Attributes().Get("number")
				r, _ := rs.Resource().Attributes().Get("resource")
				m[n.Int()] = s.TraceID().String() + s.Name() + r.AsString() + rs.SchemaUrl() + ss.SchemaUrl() + ss.Scope().Name()
			}
		}
	}
	return m
}

// Each span is in the part of its shard, once, with its resource and scope; put together, the parts are the batch.
func TestSplit(t *testing.T) {
	for seed := range uint64(50) {
		for shards := 1; shards <= 4; shards++ {
			td := batch(300, 40, seed)
			want := seen(td)
			parts := split(td, shards)
			require.Len(t, parts, shards)
			got := 0
			for i, p := range parts {
				if p.spans == 0 {
					continue
				}
				require.Equal(t, p.spans, p.td.SpanCount())
				got += p.spans
				for _, rs := range p.td.ResourceSpans().All() {
					require.Positive(t, rs.ScopeSpans().Len())
					for _, ss := range rs.ScopeSpans().All() {
						require.Positive(t, ss.Spans().Len())
						last := int64(1 << 40)
						for _, s := range ss.Spans().All() {
							require.Equal(t, i, shardOf(s.TraceID(), shards))
							n, _ := s.Attributes().Get("number")
							require.Less(t, n.Int(), last, "the order has changed")
							last = n.Int()
						}
					}
				}
			}
			require.Equal(t, 300, got)
			require.Equal(t, want, seen(join(parts)))
		}
	}
}

// BenchmarkSplit is beside what the loadbalancing exporter begins with: a batch per trace.
func BenchmarkSplit(b *testing.B) {
	original := batch(1000, 300, 1)
	run := func(name string, split func(ptrace.Traces) int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				td := ptrace.NewTraces()
				original.CopyTo(td)
				b.StartTimer()
				if split(td) == 0 {
					b.Fatal("nothing")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
		})
	}
	run("trace_shards of 3", func(td ptrace.Traces) int { return len(split(td, 3)) })
	run("batchpersignal", func(td ptrace.Traces) int { return len(batchpersignal.SplitTraces(td)) })
}
