package limit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzUnmarshal(f *testing.F) {
	l := newLimiter(
		Rule{Name: "service", Per: []string{"resource.service.name", PerScope}, Max: 10, Action: Degrade},
		Rule{Name: "values", Per: []string{PerMetric, PerAttribute}, Max: 5, Action: Replace},
		Rule{Name: "look", Max: 3, Observe: true},
	)
	for user := range 20 {
		where{service: "shop", metric: fmt.Sprint("m", user%3)}.admit(l, user, 0)
	}
	f.Add(l.AppendBinary(nil))
	l.SetRules([]Rule{{Name: "host", Per: []string{"resource.host"}, Max: 10}})
	where{service: "shop", metric: "m9"}.admit(l, 1, 0)
	f.Add(l.AppendBinary(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, state []byte) {
		l := newLimiter(l.rules...)
		if l.UnmarshalBinary(state, 3) != nil {
			require.Zero(t, l.Report(1).Series, "what is refused leaves nothing behind")
			return
		}
		require.LessOrEqual(t, l.bytes, l.opts.MaxBytes+len(state)*budgetBytes)
		recount(t, l)
		for !l.Sweep(3, 100) {
		}
		l.Report(5)
		where{service: "shop", metric: "m1"}.admit(l, 1, 4)
		recount(t, l)
	})
}

func TestASnapshotThatIsCutShortIsRefused(t *testing.T) {
	l := newLimiter(Rule{Name: "values", Per: []string{PerMetric, PerAttribute}, Max: 5, Action: Replace})
	for user := range 20 {
		where{service: "shop", metric: "m"}.admit(l, user, 0)
	}
	whole := l.AppendBinary(nil)
	for n := range whole {
		require.Error(t, newLimiter(l.rules...).UnmarshalBinary(slices.Clone(whole[:n]), 0), "%d of %d bytes", n, len(whole))
	}
	require.Error(t, newLimiter(l.rules...).UnmarshalBinary(append(slices.Clone(whole), 0), 0))
	require.NoError(t, newLimiter(l.rules...).UnmarshalBinary(whole, 0))
}
