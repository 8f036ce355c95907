package cardinalitylimiterprocessor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatautil"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
)

// startUpstream starts the processor that people limit delta streams with today. Streams over the limit are dropped.
func startUpstream(b *testing.B, l *load) (take consumer.ConsumeMetricsFunc, renew func(time.Time)) {
	factory := deltatocumulativeprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*deltatocumulativeprocessor.Config)
	cfg.MaxStreams = l.metrics * l.services * l.limit
	p, err := factory.CreateMetrics(b.Context(), processortest.NewNopSettings(factory.Type()), cfg, consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, p.Shutdown(context.Background())) })
	return p.ConsumeMetrics, nil
}

// seenSeries is the plain way to write it: a set of hashes and a lock. It knows sums only.
type seenSeries struct {
	mu   sync.Mutex
	seen map[[2][16]byte]struct{}
	max  int
}

func startMap(_ *testing.B, l *load) (take consumer.ConsumeMetricsFunc, renew func(time.Time)) {
	s := &seenSeries{seen: map[[2][16]byte]struct{}{}, max: l.metrics * l.services * l.limit}
	return s.consume, nil
}

func (s *seenSeries) consume(_ context.Context, md pmetric.Metrics) error {
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		resource := pdatautil.WithMap(rm.Resource().Attributes())
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				metric := pdatautil.Hash(resource, pdatautil.WithString(m.Name()))
				m.Sum().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool {
					return !s.admit([2][16]byte{metric, pdatautil.MapHash(p.Attributes())})
				})
				return m.Sum().DataPoints().Len() == 0
			})
			return sm.Metrics().Len() == 0
		})
		return rm.ScopeMetrics().Len() == 0
	})
	return nil
}

func (s *seenSeries) admit(key [2][16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[key]; ok {
		return true
	}
	if len(s.seen) >= s.max {
		return false
	}
	s.seen[key] = struct{}{}
	return true
}
