package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is the limiter as one would write it without any hurry: a map of all series, counted anew for each decision.
type model struct {
	limits  map[string]int // by what a budget is kept per
	passing map[modelSeries]int
	folded  map[modelSeries]int64 // Unix seconds
}

type modelSeries struct{ service, metric, user string }

func (s modelSeries) budget(per string) string {
	switch per {
	case "service":
		return s.service
	case "metric":
		return s.service + "/" + s.metric
	}
	return ""
}

func (m *model) fits(s modelSeries) bool {
	for per, limit := range m.limits {
		n := 0
		for other := range m.passing {
			if other.budget(per) == s.budget(per) {
				n++
			}
		}
		if n >= limit {
			return false
		}
	}
	return true
}

func (m *model) passes(s modelSeries, step int, now int64) bool {
	_, passes := m.passing[s]
	_, folded := m.folded[s]
	if passes || !folded && m.fits(s) {
		m.passing[s] = step
		return true
	}
	m.folded[s] = now
	return false
}

func (m *model) ends(s modelSeries) (passes bool) {
	_, passes = m.passing[s]
	delete(m.passing, s)
	delete(m.folded, s)
	return passes
}

func (m *model) sweep(step int, now int64, idle time.Duration) {
	for s, seen := range m.passing {
		if step-seen > steps {
			delete(m.passing, s)
		}
	}
	for s, seen := range m.folded {
		if now-seen > int64(idle/time.Second) {
			delete(m.folded, s)
		}
	}
}

// An admitted series is admitted as long as it is active, a folded one folded, and no budget is ever passed, whatever the others do.
func TestSeriesKeepTheirPlaceWhileOthersExplode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	r := newRig(t, rules(
		RuleConfig{Name: "total", MaxSeries: 60, Action: "overflow"},
		RuleConfig{Name: "service", Per: []string{"resource.service.name"}, MaxSeries: 25, Action: "degrade"},
		RuleConfig{Name: "metric", Per: []string{"resource.service.name", "metric"}, MaxSeries: 12, Action: "overflow"},
	))
	m := model{limits: map[string]int{"total": 60, "service": 25, "metric": 12}, passing: map[modelSeries]int{}, folded: map[modelSeries]int64{}}
	count := 100_000
	if underRace { // it is the same without
		count /= 20
	}
	admitted, turned := 0, 0
	for i := range count {
		users := []int{3, 6, 20, 1000}[random.IntN(4)]
		s := modelSeries{fmt.Sprint("s", random.IntN(4)), fmt.Sprint("m", random.IntN(4)), fmt.Sprint("u", random.IntN(users))}
		attrs := map[string]any{"user": s.user}
		var want bool
		if random.IntN(50) == 0 {
			want = m.ends(s)
			r.send(batch(s.service, marker(s.metric, attrs)))
		} else {
			want = m.passes(s, int(r.step(r.now())), r.now().Unix())
			r.send(batch(s.service, one(s.metric, attrs)))
		}
		require.Equal(t, want, len(r.out.batches) == 1, "step %d: %v", i, s)
		r.out.batches = nil
		if want {
			admitted++
		} else {
			turned++
		}
		r.clock.advance(time.Duration(random.IntN(500)) * time.Millisecond)
		if i%100 == 0 { // often enough: a fourth of an idle timeout may pass
			r.tidyNow()
			m.sweep(int(r.step(r.now())), r.now().Unix(), r.cfg.IdleTimeout)
		}
		if i%1000 == 0 {
			require.NoError(t, r.flush(context.Background()))
			r.out.batches = nil
		}
	}
	require.Greater(t, min(admitted, turned), count/20, "the test is worth something only if both happen")
	require.Equal(t, len(m.passing), r.active())
}
