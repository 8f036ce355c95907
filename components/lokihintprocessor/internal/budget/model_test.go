package budget

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is what budgets are meant to be, written to be obvious and not fast: names instead of hashes, and every name with the half in which it was seen last.
type model struct {
	limits  Limits
	tenants map[string]*modelTenant
	shared  *modelTenant
	cleaned time.Time
}

type modelTenant struct {
	half    int // the number of the present one
	ends    time.Time
	streams seen
	values  []seen
}

// seen is a name's last half.
type seen map[string]int

func newModel(l Limits) *model {
	m := &model{limits: l, tenants: map[string]*modelTenant{}}
	m.shared = m.newTenant()
	return m
}

func (m *model) newTenant() *modelTenant {
	t := &modelTenant{half: 2, streams: seen{}}
	for range m.limits.Labels {
		t.values = append(t.values, seen{})
	}
	return t
}

func (t *modelTenant) knows(s seen, name string) bool { return s[name] >= t.half-1 }

func (t *modelTenant) count(s seen) (n int) {
	for name := range s {
		if t.knows(s, name) {
			n++
		}
	}
	return n
}

func (t *modelTenant) turn(now time.Time, window time.Duration) {
	switch late := now.Sub(t.ends); {
	case late < 0:
	case late < window:
		t.half++
		t.ends = t.ends.Add(window)
	default:
		t.half += 2
		t.ends = now.Add(window)
	}
}

func (m *model) tenant(now time.Time, id string) (t *modelTenant, prefix string) {
	full := func() bool { return len(m.tenants) >= m.limits.MaxTenants }
	if m.tenants[id] == nil && full() && now.Sub(m.cleaned) >= m.limits.Window/4 {
		m.cleaned = now
		m.forget(now)
	}
	if m.tenants[id] == nil && full() {
		return m.shared, id + ":"
	}
	if m.tenants[id] == nil {
		m.tenants[id] = m.newTenant()
	}
	return m.tenants[id], ""
}

// forget lets go of tenants that have nothing left.
func (m *model) forget(now time.Time) {
	m.shared.turn(now, m.limits.Window)
	for id, t := range m.tenants {
		t.turn(now, m.limits.Window)
		if t.count(t.streams) == 0 {
			delete(m.tenants, id)
		}
	}
}

func (m *model) ask(now time.Time, id string, values []string) (verdicts []Verdict, isNew bool) {
	t, prefix := m.tenant(now, id)
	t.turn(now, m.limits.Window)
	verdicts = make([]Verdict, len(values))
	stream := func() string {
		left := make([]string, len(values))
		for i, v := range values {
			if verdicts[i] == Admitted {
				left[i] = v
			}
		}
		return prefix + strings.Join(left, ",")
	}
	if !t.knows(t.streams, stream()) {
		for i, v := range values {
			if v != "" && !t.knows(t.values[i], v) && t.count(t.values[i]) >= m.limits.Labels[i].MaxValues {
				verdicts[i] = OverValues
			}
		}
	}
	labels, gone := 0, 0 // beside the service
	for i, v := range values {
		if i > 0 && v != "" && verdicts[i] == Admitted {
			labels++
		}
	}
	for !t.knows(t.streams, stream()) && t.count(t.streams) >= m.room(labels, gone) {
		i := t.worst(values, verdicts)
		if i < 0 {
			return verdicts, false
		}
		verdicts[i] = OverStreams
		gone++
	}
	isNew = !t.knows(t.streams, stream())
	t.streams[stream()] = t.half
	for i, v := range values {
		if v != "" && verdicts[i] == Admitted {
			t.values[i][v] = t.half
		}
	}
	return verdicts, isNew
}

// room is three quarters for whole streams, all for the service alone, and in between in proportion.
func (m *model) room(labels, gone int) int {
	all := m.limits.MaxStreams - 1
	if gone >= labels {
		return all
	}
	quarter := all / 4
	return all - quarter + quarter*gone/labels
}

func (t *modelTenant) worst(values []string, verdicts []Verdict) int {
	worst := -1
	for i, v := range values {
		switch {
		case v == "" || verdicts[i] != Admitted:
		case worst <= 0: // none, or the service
			worst = i
		case t.count(t.values[i]) >= t.count(t.values[worst]):
			worst = i
		}
	}
	return worst
}

// restart makes everything that is known seen now.
func (m *model) restart(now time.Time) {
	m.cleaned = time.Time{}
	all := []*modelTenant{m.shared}
	for _, t := range m.tenants {
		all = append(all, t)
	}
	for _, t := range all {
		for _, names := range append([]seen{t.streams}, t.values...) {
			for name := range names {
				if t.knows(names, name) {
					names[name] = t.half + 2
				}
			}
		}
		t.half += 2
		t.ends = now.Add(m.limits.Window)
	}
}

// play plays a game on budgets and the model: they must agree all the time.
func play(t *testing.T, roll func(sides int) int, moves int) {
	limits := limitsOf(2+roll(12), 1+roll(4), 1+roll(6), 1+roll(6))
	b, m := New(limits, 7), newModel(limits)
	now := epoch
	letter := func(prefix string) string {
		if n := roll(8); n > 0 || prefix == "s" {
			return fmt.Sprint(prefix, n)
		}
		return ""
	}
	for range moves {
		switch roll(20) {
		case 0:
			now = now.Add(time.Duration(roll(100)) * window / 40)
		case 1:
			data := b.Snapshot(now)
			m.forget(now)
			if data == nil {
				continue
			}
			b = New(limits, 8)
			require.NoError(t, b.Restore(now, data))
			m.restart(now)
		default:
			now = now.Add(time.Duration(roll(10)) * window / 100)
		}
		tenant, values := fmt.Sprint("t", roll(5)), []string{letter("s"), letter("p"), letter("u")}
		got := make([]Verdict, len(values))
		isNew := b.Stream(now, tenant, values, got)
		want, wantNew := m.ask(now, tenant, values)
		require.Equal(t, want, got, "%s %s", tenant, strings.Join(values, " "))
		require.Equal(t, wantNew, isNew)
		s := b.Stats(now)
		require.LessOrEqual(t, s.Streams, limits.MaxStreams-1)
		for i, n := range s.Values {
			require.LessOrEqual(t, n, limits.Labels[i].MaxValues)
		}
		require.LessOrEqual(t, s.Tenants, limits.MaxTenants)
		m.shared.turn(now, window) // as counting does
		for _, t := range m.tenants {
			t.turn(now, window)
		}
	}
}

func TestBudgetsAreAsTheModel(t *testing.T) {
	for seed := range uint64(60) {
		dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same each time
		play(t, dice.IntN, 300)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte{})
	for seed := range byte(10) {
		game := make([]byte, 400)
		for i := range game {
			game[i] = byte(rand.New(rand.NewPCG(uint64(seed), uint64(i))).IntN(256)) //nolint:gosec // the same each time
		}
		f.Add(game)
	}
	f.Fuzz(func(t *testing.T, game []byte) {
		play(t, func(sides int) int {
			if len(game) == 0 {
				return 0
			}
			n := int(game[0]) % sides
			game = game[1:]
			return n
		}, min(len(game)/4, 500))
	})
}
