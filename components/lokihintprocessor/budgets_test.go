package lokihintprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// label is the value of a label in each record, empty where it is demoted.
func (r *rig) label(name string, in ...kv) string {
	r.t.Helper()
	var all []string
	for _, attrs := range in {
		all = append(all, r.store(r.through(one(attrs, nil, nil))).Entries[0].Labels[name])
	}
	return strings.Join(all, " ")
}

// The first 200 pods are labels and stay so; the others are found as metadata, under the same name.
func TestALabelThatExplodes(t *testing.T) {
	r := newRig(t, "{labels: [resource.k8s.namespace.name, {from: [resource.k8s.pod.name], max_values: 200}]}")
	for round := range 3 {
		for i := range 300 {
			pod := fmt.Sprint("p", i)
			got := r.shown(r.through(one(kv{"k8s.namespace.name", "shop", "k8s.pod.name", pod}, nil, nil)))
			if i < 200 {
				require.Equal(t, `{k8s_namespace_name="shop", k8s_pod_name="`+pod+`", service_name="unknown_service"}`, got)
			} else {
				require.Equal(t, `{k8s_namespace_name="shop", service_name="unknown_service"} k8s_pod_name="`+pod+`"`, got)
			}
		}
		assert.Equal(t, map[string]int64{"": 201}, r.counted("new_streams", "none"))
		assert.Equal(t, int64(100*(round+1)), r.counted("demoted_records", "reason")["value"])
	}
	assert.Equal(t, map[string]int64{"k8s_pod_name": 200, "k8s_namespace_name": 1, "service_name": 1}, r.counted("label_values", "label"))
}

// Services that do not fit are one stream, and each is found by its name.
func TestServicesThatExplode(t *testing.T) {
	const config = "{labels: [resource.k8s.namespace.name], budget: {max_values: 3}}"
	r, second := newRig(t, config), newRig(t, config)
	for i := range 6 {
		once := r.through(one(kv{"service.name", fmt.Sprint("s", i), "k8s.namespace.name", "n"}, nil, nil))
		want := fmt.Sprintf(`{k8s_namespace_name="n", service_name="s%d"}`, i)
		if i >= 3 {
			want = fmt.Sprintf(`{k8s_namespace_name="n", service_name="overflow"} resource_service_name="s%d"`, i)
		}
		assert.Equal(t, want, r.shown(once))
		assert.Equal(t, want, r.shown(second.through(copied(once))), "a collector after it")
		assert.Equal(t, want, r.shown(r.through(once)))
	}
	// Where there is room, the next collector gives the name back.
	roomy := newRig(t, "{labels: [resource.k8s.namespace.name]}")
	assert.Equal(t, `{k8s_namespace_name="n", service_name="s7"} resource_service_name="s7"`, r.shown(roomy.through(r.through(one(kv{"service.name", "s7", "k8s.namespace.name", "n"}, nil, nil)))))
}

// A collector behind this one, with the same configuration, finds nothing to do, also when budgets are short; unless what is demoted had to move to a scope.
func TestASecondCollector(t *testing.T) {
	f := func(config string) {
		t.Helper()
		for seed := range uint64(20) {
			dice := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // the same each time
			config := fmt.Sprintf("{%s, budget: {max_values: 12, max_streams: 30}}", config)
			r, second := newRig(t, config), newRig(t, config)
			for range 200 {
				in := kv{"service.name", fmt.Sprint("s", dice.IntN(20)), "k8s.namespace.name", fmt.Sprint("n", dice.IntN(4)), "pod", fmt.Sprint("p", dice.IntN(30))}
				once := r.through(one(in, nil, kv{"user", dice.IntN(20)}))
				want := r.shown(once)
				require.Equal(t, want, r.shown(second.through(once)))
			}
		}
	}
	f("labels: [resource.k8s.namespace.name, {name: k8s_pod_name, from: [resource.pod]}]")
	f("contract: generated, labels: [{name: ns, from: [resource.k8s.namespace.name]}, {name: app, from: [resource.service.name]}, record.user]")
}

// However many combinations come: Loki sees no more streams than it may have, and every record.
func TestTheStreamsOfATenantAreBounded(t *testing.T) {
	f := func(config string, maxStreams int) {
		t.Helper()
		r := newRig(t, fmt.Sprintf("{%s, budget: {max_streams: %d}}", config, maxStreams))
		dice := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same each time
		streams := map[string]bool{}
		for range 40 {
			batch := logs()
			for i := range 50 {
				in := many(kv{"service.name", fmt.Sprint("s", dice.IntN(50)), "k8s.namespace.name", fmt.Sprint("n", dice.IntN(20)), "k8s.pod.name", fmt.Sprint("p", dice.IntN(500))},
					record{body: i, attrs: kv{"user", dice.IntN(100)}}, record{body: i, attrs: kv{"user", dice.IntN(100)}})
				batch = join(batch, in)
			}
			in := copied(batch)
			out := r.through(batch)
			sameRecords(t, in, out)
			for _, e := range r.store(out).Entries {
				streams[e.Selector()] = true
				require.Empty(t, e.Clashes())
				require.Empty(t, e.Refused)
			}
		}
		assert.LessOrEqual(t, len(streams), maxStreams)
		assert.GreaterOrEqual(t, len(streams), maxStreams-1, "and they are used")
		assert.Equal(t, map[string]int64{"": int64(maxStreams - 1)}, r.counted("streams", "none"))
		assert.Equal(t, map[string]int64{"": int64(maxStreams - 1)}, r.counted("new_streams", "none"))
	}
	f("labels: [resource.k8s.namespace.name, resource.k8s.pod.name]", 100)
	f("labels: []", 10)
	f("contract: generated, labels: [resource.k8s.namespace.name, record.user]", 100)
}

// What is not seen for a window is forgotten.
func TestTheWindow(t *testing.T) {
	r := newRig(t, "{labels: [{from: [resource.k8s.pod.name], max_values: 1}], budget: {window: 1h}}")
	at := func(after time.Duration, pod string) string {
		w := r.walkers.Get().(*walker)
		defer w.release()
		ld := one(kv{"service.name", "s", "k8s.pod.name", pod}, nil, nil)
		w.logs(ld, epoch.Add(after))
		return r.shown(ld)
	}
	assert.Equal(t, `{k8s_pod_name="a", service_name="s"}`, at(0, "a"))
	assert.Equal(t, `{service_name="s"} k8s_pod_name="b"`, at(59*time.Minute, "b"))
	assert.Equal(t, `{k8s_pod_name="a", service_name="s"}`, at(59*time.Minute, "a"))
	assert.Equal(t, `{service_name="s"} k8s_pod_name="b"`, at(118*time.Minute, "b"))
	assert.Equal(t, `{k8s_pod_name="b", service_name="s"}`, at(180*time.Minute, "b"))
	assert.Equal(t, `{service_name="s"} k8s_pod_name="a"`, at(180*time.Minute, "a"))
}

// Batches at once: what one of them made a label of is one for all of them.
func TestConcurrency(t *testing.T) {
	r := newRig(t, `{contract: generated, labels: [resource.ns, {from: [record.user], max_values: 50}], budget: {max_streams: 120},
		tenant: {from: [resource.team], default: nobody}, hints: {honor: [resource.pod], emit: true}}`)
	const senders, batches = 8, 60
	var wg sync.WaitGroup
	for g := range senders {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 1)) //nolint:gosec // the same each time
			for range batches {
				in := join(
					many(kv{"ns", fmt.Sprint("n", dice.IntN(30)), "team", fmt.Sprint("t", dice.IntN(2)), "_", g, "loki.resource.labels", "pod", "pod", dice.IntN(5)},
						record{attrs: kv{"user", dice.IntN(100), fmt.Sprint("k", dice.IntN(3000)), kv{"a", "\xff"}}}, record{attrs: kv{"user", dice.IntN(100)}}),
					one(kv{"k8s.pod.name", "p"}, kv{"_", 1}, kv{"trace_id", 1}))
				assert.NoError(t, r.ConsumeLogs(context.Background(), in))
			}
		})
	}
	wg.Wait()
	streams, records := map[string]map[string]bool{}, 0
	for _, request := range r.out.take() {
		for _, e := range r.store(request.logs).Entries {
			if streams[request.tenant()] == nil {
				streams[request.tenant()] = map[string]bool{}
			}
			streams[request.tenant()][e.Selector()] = true
			assert.Empty(t, e.Clashes())
			records++
		}
	}
	assert.Equal(t, senders*batches*3, records)
	assert.LessOrEqual(t, len(streams["t0"]), 120)
	assert.LessOrEqual(t, len(streams["t1"]), 120)
	assert.Len(t, streams["nobody"], 1)
}
