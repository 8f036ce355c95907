package lokihintprocessor

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// hostile are inputs of a size that somebody may think of; what is mended in them is at its worst.
func hostile(n int) map[string]plog.Logs {
	oneName, invalid, poison, twice, deepKeys := kv{}, kv{}, kv{}, kv{}, any("x")
	for i := range n {
		oneName = append(oneName, "a"+strings.Repeat(".", i%50)+"b"+strings.Repeat("-", i/50+1), i)
		invalid = append(invalid, "k\xff"+strings.Repeat("\xfe", i%100), i)
		poison = append(poison, strings.Repeat("-", 65)+strings.Repeat("_", i%100), i)
		twice = append(twice, "a", i)
	}
	for range n {
		deepKeys = kv{"k", deepKeys}
	}
	all := map[string]plog.Logs{}
	for name, attrs := range map[string]kv{
		"one name": oneName, "invalid": invalid, "poison": poison, "twice": twice,
		"one name in a map": {"m", oneName}, "invalid in a map": {"m", invalid}, "poison in a map": {"m", poison}, "twice in a map": {"m", twice},
		"deep": {"m", deepKeys}, "deep and invalid": {"m", kv{"\xff", 1, "d", deepKeys}}, "many maps": func() kv {
			maps := kv{}
			for range n / 4 {
				maps = append(maps, "m", kv{"a.b", 1, "a_b", 2})
			}
			return maps
		}(),
	} {
		all["resource: "+name] = one(attrs, nil, nil)
		all["scope: "+name] = one(nil, attrs, nil)
		all["record: "+name] = one(nil, nil, attrs)
	}
	return all
}

// Twice as much hostile input takes about twice as much memory, and nothing of it is lost.
func TestHostileInputIsLinear(t *testing.T) {
	const n = 1000
	more := hostile(2 * n)
	for name, less := range hostile(n) {
		once, twice := allocated(t, less), allocated(t, more[name])
		assert.LessOrEqual(t, float64(twice), 3.2*float64(once), "%s: %d and %d bytes", name, once, twice)
	}
}

func allocated(t *testing.T, ld plog.Logs) uint64 {
	t.Helper()
	r := newRig(t, ofNamespace)
	records := ld.LogRecordCount()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := r.walkers.Get().(*walker)
	w.logs(ld, epoch)
	runtime.ReadMemStats(&after)
	require.Equal(t, records, ld.LogRecordCount())
	return after.TotalAlloc - before.TotalAlloc
}

// Beyond so many, attributes that have to be mended are one text; those that the configuration names are not among them.
func TestMoreThanCanBeMended(t *testing.T) {
	for level, prefix := range []string{"resource", "scope", "record"} {
		levels := [3]kv{}
		for i := range 200 {
			levels[level] = append(levels[level], fmt.Sprint("k", i), fmt.Sprint("v", i))
		}
		levels[level] = append(levels[level], "_", "last", "k8s.namespace.name", "n", "twice", 1, "twice", 2)
		r := newRig(t, "{contract: generated, labels: [{name: ns, from: [resource.k8s.namespace.name, record.k8s.namespace.name]}]}")
		out := r.through(one(levels[0], levels[1], levels[2]))
		for range 2 {
			e := r.store(out).Entries[0]
			assert.Empty(t, e.Clashes(), prefix)
			text := ""
			for _, p := range e.Metadata {
				if p.Name == prefix+"_attributes" {
					text = p.Value
				}
			}
			for _, want := range []string{`"k199":"v199"`, `"_":"last"`, `"twice":1,"twice":2`} {
				assert.Contains(t, text, want, prefix)
			}
			assert.NotContains(t, text, `"k0"`)
			if level != 1 {
				assert.Equal(t, "n", e.Labels["ns"], prefix)
			}
			assert.Equal(t, int64(76), r.counted("mended_attributes", "mend")["many"], "%s: the second time nothing has to be mended", prefix)
			out = r.through(out)
		}
	}
}

// A batch of very many keys is forgotten after it.
func TestKeysAreForgotten(t *testing.T) {
	r := newRig(t, ofNamespace)
	w := r.walkers.Get().(*walker)
	for round := range 5 {
		for i := range 2 * maxKeys {
			ld := one(kv{"k8s.namespace.name", "n"}, nil, kv{fmt.Sprintf("k%d_%d", round, i), i, "m", kv{fmt.Sprintf("l%d_%d", round, i), 1}})
			w.logs(ld, epoch)
			if i%500 == 0 {
				require.Equal(t, fmt.Sprintf(`{k8s_namespace_name="n", service_name="unknown_service"} k%d_%d="%d" m_l%d_%d="1"`, round, i, i, round, i), r.shown(ld))
			}
			require.LessOrEqual(t, len(w.keys.byKey), maxKeys+10)
			require.LessOrEqual(t, w.keys.bytes, maxKeyBytes+1000)
		}
		long := one(nil, nil, kv{strings.Repeat("x", 2*maxKeyBytes), 1})
		w.logs(long, epoch)
		w.logs(one(nil, nil, nil), epoch)
		require.Less(t, w.keys.bytes, maxKeyBytes)
	}
	w.release()
	require.NoError(t, r.ConsumeLogs(context.Background(), one(nil, nil, nil)))
}
