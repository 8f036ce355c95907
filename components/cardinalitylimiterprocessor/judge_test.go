package cardinalitylimiterprocessor

import (
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// look judges what came out, and tells which identities came unfolded.
func (w *world) look() (came map[string]bool) {
	came = map[string]bool{}
	for _, s := range samplesOf(w.r.out.later...) {
		if !s.folded && !s.ended { // it has its place
			w.pass(&s)
		}
	}
	all := append(samplesOf(w.r.out.batches...), samplesOf(w.r.out.lost...)...)
	w.r.out.batches, w.r.out.lost, w.r.out.later = nil, nil, nil
	for i := range all {
		s := &all[i]
		if tracked(s) && !s.ended {
			w.out[s.metric] += s.value
		}
		if s.folded {
			w.folded(s)
			continue
		}
		came[s.id] = true
		if s.ended {
			delete(w.live, s.id)
			continue
		}
		w.pass(s)
	}
	return came
}

// pass notes a series that came unfolded. One that was not there needs room.
func (w *world) pass(s *sample) {
	if _, known := w.live[s.id]; !known {
		w.fits(s)
	}
	w.live[s.id] = w.r.clock.now()
}

// fits tells whether there was room for a series that was not there for a while. If it was not there ever, it had to fit what holds now.
func (w *world) fits(s *sample) {
	n := 0
	for id := range w.live {
		if w.budget[id] == s.metric {
			n++
		}
	}
	limit := w.highest
	if w.budget[s.id] == "" {
		limit = w.limit
	}
	w.budget[s.id] = s.metric
	require.Less(w.t, n, limit, "one more series of %s: %s", s.metric, s.id)
}

// folded streams have one writer: their times go on, their intervals do not overlap, and their totals grow.
func (w *world) folded(s *sample) {
	before, known := w.last[s.id]
	w.last[s.id] = *s
	if !known {
		return
	}
	require.Greater(w.t, s.time, before.time, s.id)
	switch {
	case s.kind == fold.Gauge || before.ended || s.ended:
	case s.kind == fold.DeltaSum || s.kind == fold.DeltaHistogram || s.kind == fold.DeltaExponential:
		require.GreaterOrEqual(w.t, s.start, before.time, s.id)
	case s.start != before.start:
		require.GreaterOrEqual(w.t, s.start, before.time, s.id)
	case s.kind != fold.CumulativeUpDown:
		require.GreaterOrEqual(w.t, s.value, before.value, s.id)
	}
}
