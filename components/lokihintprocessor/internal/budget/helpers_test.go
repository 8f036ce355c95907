package budget

import (
	"fmt"
	"strings"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0)

const window = 45 * time.Minute

// rig is budgets with a clock that the test moves.
type rig struct {
	*Budgets
	at time.Time
}

// newRig bounds the labels service, pod … to so many values each.
func newRig(maxStreams int, maxValues ...int) *rig {
	return &rig{New(limitsOf(maxStreams, maxValues...), 1), epoch}
}

func limitsOf(maxStreams int, maxValues ...int) Limits {
	l := Limits{Window: window, MaxStreams: maxStreams, MaxTenants: 3}
	for i, n := range maxValues {
		l.Labels = append(l.Labels, Label{[]string{"service", "pod", "path", "user"}[i], n})
	}
	return l
}

// ask says what becomes of a stream: values in their order, with ! before one that is over the label's, ~ over the tenant's streams; + when it is new.
func (r *rig) ask(tenant string, values ...string) string {
	verdicts := make([]Verdict, len(values))
	isNew := r.Stream(r.at, tenant, values, verdicts)
	words := make([]string, 0, len(values))
	for i, v := range values {
		words = append(words, []string{"", "!", "~"}[verdicts[i]]+v)
	}
	s := strings.Join(words, " ")
	if isNew {
		s += " +"
	}
	return s
}

// left is the stream that is left, as Loki sees it.
func (r *rig) left(tenant string, values ...string) string {
	verdicts := make([]Verdict, len(values))
	r.Stream(r.at, tenant, values, verdicts)
	words := []string{}
	for i, v := range values {
		switch {
		case verdicts[i] == Admitted:
			words = append(words, v)
		case i == 0:
			words = append(words, "overflow")
		default:
			words = append(words, "")
		}
	}
	return strings.Join(words, " ")
}

func (r *rig) pass(d time.Duration) { r.at = r.at.Add(d) }

func (r *rig) stats() string {
	s := r.Stats(r.at)
	return fmt.Sprint(s.Tenants, s.Streams, s.Values)
}
