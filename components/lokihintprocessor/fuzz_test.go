package lokihintprocessor

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/lokimodel"
)

// content is what a record says to Loki: values by name, those of the stream, of its resource, scope and itself.
type content struct {
	labels map[string]string
	values map[string][]string
	shown  string
	tenant string
}

func (g *game) contents(requests []request) map[string]content {
	g.t.Helper()
	all := map[string]content{}
	for _, request := range requests {
		result := g.r.store(request.logs)
		require.Empty(g.t, result.Refused)
		for _, e := range result.Entries {
			c := content{labels: e.Labels, values: map[string][]string{}, tenant: request.tenant()}
			for name, v := range e.Labels {
				c.values[name] = append(c.values[name], v)
			}
			for _, p := range e.Metadata {
				c.values[p.Name] = append(c.values[p.Name], p.Value)
			}
			if e.Refused != lokimodel.MetadataTooLarge { // of records nothing is cut
				require.Empty(g.t, e.Refused, "%v", e.Labels)
			}
			require.Empty(g.t, e.Clashes(), "%s %v", e.Selector(), e.Metadata)
			c.shown = fmt.Sprint(e.Selector(), e.Metadata)
			for _, n := range []int{30_000, 2049, 2048} {
				c.shown = strings.ReplaceAll(c.shown, strings.Repeat("w", n), fmt.Sprintf("(%d w)", n))
			}
			all[e.Line] = c
		}
	}
	return all
}

// leaf is a value of an input attribute, with the name that it has if nobody else has it.
type leaf struct {
	name, value string
	// In a map, or one of several with a name: these may become one text.
	together bool
}

func leaves(all []leaf, attrs pcommon.Map) []leaf {
	times := map[string]int{}
	for key := range attrs.All() {
		name, _ := config.Name(key)
		times[name]++
	}
	for key, v := range attrs.All() {
		if slices.Contains(config.HintKeys(), key) {
			continue
		}
		if better := betterKey(key); better != "" {
			key = better
		}
		name, _ := config.Name(key)
		all = inside(all, name, v, times[name] > 1)
	}
	return all
}

// plain is a value with spaces where it is broken, however that is written.
func plain(s string) string {
	return strings.ReplaceAll(valid(s), `\ufffd`, " ")
}

func inside(all []leaf, name string, v pcommon.Value, together bool) []leaf {
	if v.Type() != pcommon.ValueTypeMap {
		if s := plain(v.AsString()); s != "" {
			all = append(all, leaf{name, s, together})
		}
		return all
	}
	for key, v := range v.Map().All() {
		inner, _ := config.Name(name + "_" + key)
		all = inside(all, inner, v, true)
	}
	return all
}

// play sends a batch, and what comes out of it once more.
func (g *game) play() {
	in := g.batch()
	require.NoError(g.t, g.r.ConsumeLogs(context.Background(), copied(in)))
	requests := g.r.out.take()
	out := logs()
	for _, request := range requests {
		out = join(out, copied(request.logs))
	}
	sameRecords(g.t, in, out)
	once := g.contents(requests)
	for _, rl := range in.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				c := once[lr.Body().Str()]
				g.nothingIsLost(leaves(leaves(leaves(nil, rl.Resource().Attributes()), sl.Scope().Attributes()), lr.Attributes()), c)
				g.look(c)
			}
		}
	}
	g.again(out, once)
}

// again sends what came out two times more. Where names had clashed something may change the first time, and when a budget was short or a hint honored; but nothing grows
// with every pass.
func (g *game) again(out plog.Logs, before map[string]content) {
	for pass := range 2 {
		short, clashed := g.happenings()
		require.NoError(g.t, g.r.ConsumeLogs(context.Background(), copied(out)))
		requests := g.r.out.take()
		out = logs()
		for _, request := range requests {
			out = join(out, copied(request.logs))
		}
		after := g.contents(requests)
		for line, c := range after {
			g.look(c)
			switch {
			case short:
			case !clashed:
				require.Equal(g.t, before[line].shown, c.shown, "once more")
				require.Equal(g.t, before[line].tenant, c.tenant)
			case pass > 0:
				require.LessOrEqual(g.t, len(c.values), len(before[line].values), "%s\n%s", before[line].shown, c.shown)
			}
		}
		before = after
	}
}

// happenings says what happened since it was asked last that the next pass may see otherwise.
func (g *game) happenings() (short, clashed bool) {
	demoted := g.r.counted("demoted_records", "reason")
	before := g.happened
	g.happened = [2]int64{demoted["value"] + demoted["stream"] + g.r.counted("hints", "action")["honored"], g.r.counted("mended_attributes", "mend")["clash"]}
	return g.happened[0] != before[0], g.happened[1] != before[1]
}

var renamed = regexp.MustCompile(`^(?:resource_|scope_|record_)+|(?:_[0-9]+)+$`)

// root is a name without what renaming adds: what has been renamed before is not there twice.
func root(name string) string { return renamed.ReplaceAllString(name, "") }

// nothingIsLost says that every value is there, under as many names as before but for those that renaming gives.
func (g *game) nothingIsLost(in []leaf, c content) {
	g.t.Helper()
	want, got := map[string]map[string]bool{}, map[string]int{}
	together := map[string]bool{}
	for _, l := range in {
		if want[l.value] == nil {
			want[l.value] = map[string]bool{}
		}
		want[l.value][root(l.name)] = true
		together[l.value] = together[l.value] || l.together
	}
	delete(want, overflow) // may be what an earlier collector has written
	var everything []string
	for _, values := range c.values {
		for _, v := range values {
			got[plain(v)]++
			everything = append(everything, plain(v))
		}
	}
	for v, names := range want {
		within := func(text string) bool { return strings.Contains(text, v) }
		if together[v] && slices.ContainsFunc(everything, within) {
			continue // a text of several
		}
		if got[v] < len(names) {
			require.GreaterOrEqual(g.t, got[v], len(names), "%q was under %v, now %v", v, slices.Sorted(maps.Keys(names)), c.shown)
		}
	}
}

// look says that the labels are those that may be, and within their bounds.
func (g *game) look(c content) {
	g.t.Helper()
	require.NotEmpty(g.t, c.labels[config.ServiceLabel])
	cfg := g.r.cfg
	if g.streams[c.tenant] == nil {
		g.streams[c.tenant], g.labels[c.tenant] = map[string]bool{}, map[string]map[string]bool{}
	}
	g.streams[c.tenant][fmt.Sprint(c.labels)] = true
	require.LessOrEqual(g.t, len(g.streams[c.tenant]), cfg.Budget.MaxStreams)
	require.LessOrEqual(g.t, len(c.labels), cfg.MaxLabels+1)
	bounds := limits(cfg, g.plan())
	for name, v := range c.labels {
		i := slices.IndexFunc(g.r.layout.labels, func(l label) bool { return l.name == name })
		require.GreaterOrEqual(g.t, i, 0, "%s is no label", name)
		require.LessOrEqual(g.t, len(v), cfg.MaxValueBytes)
		if closed := g.r.layout.labels[i].values; closed != nil {
			require.Contains(g.t, closed, v)
		}
		seen := g.labels[c.tenant][name]
		if seen == nil {
			seen = map[string]bool{}
			g.labels[c.tenant][name] = seen
		}
		if i > 0 || v != overflow {
			seen[v] = true
		}
		require.LessOrEqual(g.t, len(seen), bounds.Labels[i].MaxValues, name)
	}
}

func (g *game) plan() *config.Plan {
	plan, err := g.r.cfg.Plan()
	require.NoError(g.t, err)
	return plan
}

func FuzzConsume(f *testing.F) {
	f.Add([]byte{})
	for seed := range byte(70) {
		bytes := make([]byte, 800)
		dice := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // the same each time
		for i := range bytes {
			bytes[i] = byte(dice.IntN(256))
		}
		bytes[0] = seed
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		g := &game{dice: &dice{bytes[:min(len(bytes), 4000)]}, t: t, streams: map[string]map[string]bool{}, labels: map[string]map[string]map[string]bool{}}
		g.r = newRig(t, fuzzConfigs[g.roll(len(fuzzConfigs))])
		for len(g.bytes) > 0 {
			g.play()
		}
	})
}

// FuzzName: what Loki cannot name gets a key that it can, and no two get the same.
func FuzzName(f *testing.F) {
	for i, key := range fuzzKeys {
		f.Add(key, fuzzKeys[(i*7+1)%len(fuzzKeys)])
	}
	f.Add(strings.Repeat("-", 64), strings.Repeat("-", 65))
	f.Fuzz(func(t *testing.T, a, b string) {
		better := betterKey(a)
		key := better
		if better == "" {
			key = a
		}
		name, err := config.Name(key)
		require.NoError(t, err)
		require.NotContains(t, config.ReservedNames(), name)
		require.Empty(t, betterKey(key), "it stays")
		require.Equal(t, better, betterKey(a))
		assert.LessOrEqual(t, len(better), max(len(a)*3, 5+2*longKey+33))
		if other := betterKey(b); a != b && strings.HasPrefix(better, "attr_") && strings.HasPrefix(other, "attr_") && !strings.HasPrefix(a, "attr_") && !strings.HasPrefix(b, "attr_") {
			require.NotEqual(t, better, other)
		}
	})
}
