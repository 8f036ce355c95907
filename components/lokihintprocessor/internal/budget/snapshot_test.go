package budget

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// full are budgets of four tenants, one of which shares.
func full() *rig {
	r := newRig(20, 10, 10, 10)
	for i := range 4 {
		for n := range 8 {
			r.ask(fmt.Sprint("t", i), "a", fmt.Sprint("p", n), fmt.Sprint("u", n%3))
		}
	}
	return r
}

// again restores what others have known.
func again(t *testing.T, before *rig, limits Limits) *rig {
	t.Helper()
	r := &rig{New(limits, 99), before.at.Add(window / 3)}
	require.NoError(t, r.Restore(r.at, before.Snapshot(before.at)))
	return r
}

func TestARestartKeepsWhatIsKnown(t *testing.T) {
	before := full()
	stats := before.stats()
	r := again(t, before, before.limits)
	assert.Equal(t, stats, r.stats())
	for i := range 4 {
		for n := range 8 {
			want := fmt.Sprintf("a p%d u%d", n, n%3)
			assert.Equal(t, want, r.ask(fmt.Sprint("t", i), "a", fmt.Sprint("p", n), fmt.Sprint("u", n%3)))
		}
	}
	r.pass(window - 1)
	assert.Equal(t, "a p0 u0", r.ask("t0", "a", "p0", "u0"), "it counts as seen at the start")
	r.pass(2 * window)
	assert.Equal(t, "0 [0 0 0]", r.stats()[2:])
	assert.NotNil(t, r.Snapshot(r.at), "that it is forgotten is news")
	assert.Nil(t, r.Snapshot(r.at))
}

func TestASnapshotIsMadeWhenThereIsNews(t *testing.T) {
	r := full()
	assert.NotNil(t, r.Snapshot(r.at))
	assert.Nil(t, r.Snapshot(r.at))
	r.ask("t0", "a", "p0", "u0")
	assert.Nil(t, r.Snapshot(r.at), "it is known")
	r.Unsaved()
	assert.NotNil(t, r.Snapshot(r.at))
	r.ask("t0", "a", "p0", "")
	assert.NotNil(t, r.Snapshot(r.at))
}

// What was forgotten does not come back.
func TestARestartForgets(t *testing.T) {
	before := full()
	require.NotNil(t, before.Snapshot(before.at))
	before.pass(2 * window)
	before.ask("t9", "a", "p", "u")
	r := again(t, before, before.limits)
	assert.Equal(t, "1 1 [1 1 1]", r.stats())
	before.pass(2 * window)
	r = again(t, before, before.limits)
	assert.Equal(t, "0 0 [0 0 0]", r.stats(), "that nothing is known any more is news, too")
}

// Tenants beyond those that may have a budget share one, with what they had.
func TestARestartWithFewerTenants(t *testing.T) {
	before := full()
	limits := before.limits
	limits.MaxTenants, limits.MaxStreams, limits.Labels = 1, 100, slices.Clone(limits.Labels)
	limits.Labels[1].MaxValues = 3
	r := again(t, before, limits)
	for i := range 4 {
		for n := range 8 {
			want := fmt.Sprintf("a p%d u%d", n, n%3)
			assert.Equal(t, want, r.ask(fmt.Sprint("t", i), "a", fmt.Sprint("p", n), fmt.Sprint("u", n%3)), "what is known passes, also more than may come")
		}
		assert.Equal(t, "a !p9 u0 +", r.ask(fmt.Sprint("t", i), "a", "p9", "u0"))
	}
	assert.Equal(t, 1, r.Stats(r.at).Tenants)
}

// With other labels the values of those that stay are known, in whatever place they are now.
func TestARestartWithOtherLabels(t *testing.T) {
	before := newRig(100, 10, 3, 3)
	for i := range 3 {
		before.ask("", "a", fmt.Sprint("p", i), fmt.Sprint("u", i))
	}
	limits := before.limits
	limits.Labels = []Label{limits.Labels[0], {"new", 3}, limits.Labels[1]}
	r := again(t, before, limits)
	assert.Equal(t, "1 3 [1 0 3]", r.stats())
	assert.Equal(t, "a n p0 +", r.ask("", "a", "n", "p0"))
	assert.Equal(t, "a n !p4 +", r.ask("", "a", "n", "p4"))
}

func TestWhatIsNoSnapshotIsRefused(t *testing.T) {
	whole := full().Snapshot(newRig(1).at)
	f := func(damage func([]byte) []byte) {
		t.Helper()
		r := newRig(20, 10, 10, 10)
		require.ErrorIs(t, r.Restore(r.at, damage(slices.Clone(whole))), ErrDamaged)
		assert.Equal(t, "0 0 [0 0 0]", r.stats(), "it leaves nothing behind")
		assert.Equal(t, "a p u +", r.ask("t", "a", "p", "u"))
	}
	f(func(b []byte) []byte { b[0]++; return b }) // another version
	f(func([]byte) []byte { return nil })
	for n := range whole {
		f(func(b []byte) []byte { return b[:n] })
		f(func(b []byte) []byte { return sealed(b[:n]) })
		f(func(b []byte) []byte { b[n] ^= 4; return b })
	}
	f(func(b []byte) []byte { return append(b, 0) })
	f(func(b []byte) []byte { return sealed(append(b, 0)) })
}

// sealed gives a snapshot the version and the checksum that it has to have.
func sealed(b []byte) []byte {
	if len(b) < 5 {
		return b
	}
	b[0] = version
	binary.LittleEndian.PutUint32(b[1:], crc32.ChecksumIEEE(b[5:]))
	return b
}

func FuzzRestore(f *testing.F) {
	f.Add(full().Snapshot(newRig(1).at))
	f.Add(newRig(5, 5).Snapshot(newRig(1).at))
	// As many tenants as there cannot be.
	f.Add(sealed(binary.AppendUvarint(make([]byte, 13), 1<<62)))
	// A tenant "t" without streams, one label without values; then the shared budget.
	f.Add(sealed(append(make([]byte, 13), 1, 1, 't', 0, 0, 0, 0)))
	one := newRig(5, 5)
	one.ask("", "a")
	f.Add(one.Snapshot(one.at))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		r := newRig(20, 10, 10, 10)
		runtime.ReadMemStats(&before)
		err := r.Restore(r.at, sealed(data))
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20+400*len(data)))
		if err != nil {
			require.Equal(t, "0 0 [0 0 0]", r.stats(), "what is refused leaves nothing behind")
		}
		require.LessOrEqual(t, r.Stats(r.at).Tenants, 3)
		r.ask("t0", "a", "p0", "u0")
		r.ask("t9", "a", "p9", "u9")
		known := r.stats()
		r.Unsaved()
		next := newRig(20, 10, 10, 10)
		require.NoError(t, next.Restore(next.at, r.Snapshot(r.at)))
		require.Equal(t, known, next.stats())
	})
}
