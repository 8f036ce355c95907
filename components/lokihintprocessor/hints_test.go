package lokihintprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

var everyHint = kv{"loki.resource.labels", "k8s.pod.name, a", "loki.attribute.labels", []any{"b"}, "loki.tenant", "team", "loki.format", "json"}

// Loki knows no hints, and would keep them with every line.
func TestHintsAreTakenOff(t *testing.T) {
	r := newRig(t, ofNamespace)
	out := r.through(one(append(kv{"k8s.pod.name", "p"}, everyHint...), append(kv{"s", 1}, everyHint...), append(kv{"b", 2}, everyHint...)))
	assert.Equal(t, `{service_name="unknown_service"} b="2" k8s_pod_name="p" s="1"`, r.shown(out))
	assert.Equal(t, map[string]int64{"stripped": 12}, r.counted("hints", "action"))
	// Only these.
	becomes(t, ofNamespace, one(kv{"loki_tenant", "x", "loki.other", 1}, nil, nil), `{service_name="unknown_service"} loki_other="1" loki_tenant="x"`)
}

// A hint may ask for what the configuration allows; its labels come after all others.
func TestHintsThatAreHonored(t *testing.T) {
	const config = `{contract: generated, max_labels: 2, labels: [resource.ns], hints: {honor: [resource.k8s.pod.name, record.user, resource.k8s.node.name]}}`
	f := func(ofResource, ofRecord kv, want string, honored, stripped int64) {
		t.Helper()
		r := newRig(t, config)
		base := kv{"service.name", "s", "ns", "n", "k8s.pod.name", "p", "k8s.node.name", "h"}
		out := r.through(one(append(base, ofResource...), nil, append(kv{"user", "u"}, ofRecord...)))
		assert.Equal(t, want, r.shown(out))
		got := r.counted("hints", "action")
		assert.Equal(t, []int64{honored, stripped}, []int64{got["honored"], got["stripped"]})
	}
	const none = `{ns="n", service_name="s"} k8s_node_name="h" k8s_pod_name="p" user="u"`
	f(nil, nil, none, 0, 0)
	const pod = `{k8s_pod_name="p", ns="n", service_name="s"} k8s_node_name="h" user="u"`
	f(kv{"loki.resource.labels", "k8s.pod.name"}, nil, pod, 1, 0)
	f(kv{"loki.resource.labels", " x ,k8s.pod.name , "}, nil, pod, 1, 0)
	f(kv{"loki.resource.labels", []any{"y", "k8s.pod.name"}}, nil, pod, 1, 0)
	f(nil, kv{"loki.resource.labels", "k8s.pod.name"}, pod, 1, 0) // a record may name its resource's
	const user = `{ns="n", service_name="s", user="u"} k8s_node_name="h" k8s_pod_name="p"`
	f(nil, kv{"loki.attribute.labels", "user"}, user, 1, 0)
	f(kv{"loki.attribute.labels", "user"}, nil, user, 1, 0)
	// What is not allowed, not spelled so, or of another level.
	f(kv{"loki.resource.labels", "ns, k8s_pod_name, user"}, kv{"loki.attribute.labels", "k8s.pod.name"}, none, 0, 2)
	f(kv{"loki.resource.labels", kv{"k8s.pod.name", 1}}, kv{"loki.attribute.labels", 7}, none, 0, 2)
	f(kv{"loki.tenant", "k8s.pod.name", "loki.format", "k8s.pod.name"}, nil, none, 0, 2)
	// There is room for one more.
	f(kv{"loki.resource.labels", "k8s.node.name,k8s.pod.name"}, kv{"loki.attribute.labels", "user"}, pod, 2, 0)
}

// A hint is for its own record and its own resource.
func TestAHintIsForItsOwn(t *testing.T) {
	const config = `{contract: generated, hints: {honor: [record.user, resource.pod]}}`
	r := newRig(t, config)
	in := join(
		many(kv{"pod", "p"}, record{attrs: kv{"user", "a", "loki.attribute.labels", "user"}}, record{attrs: kv{"user", "b"}}, record{attrs: kv{"user", "c", "loki.attribute.labels", "user"}}),
		many(kv{"pod", "q", "loki.resource.labels", "pod"}, record{attrs: kv{"user", "d"}}, record{attrs: kv{"user", "e", "loki.attribute.labels", "user"}}),
		many(kv{"pod", "r"}, record{attrs: kv{"user", "f"}}))
	var got []string
	for _, rl := range r.through(in).ResourceLogs().All() {
		got = append(got, r.shown(only(rl)))
	}
	assert.ElementsMatch(t, []string{
		`{service_name="unknown_service", user="a"} pod="p"`, `{service_name="unknown_service"} pod="p" user="b"`, `{service_name="unknown_service", user="c"} pod="p"`,
		`{pod="q", service_name="unknown_service"} user="d"`, `{pod="q", service_name="unknown_service", user="e"}`, `{service_name="unknown_service"} pod="r" user="f"`,
	}, got)
	assert.Equal(t, map[string]int64{"honored": 4}, r.counted("hints", "action"))
}

// Also when two records say the same but for the hint.
func TestAHintIsNotForTheNext(t *testing.T) {
	r := newRig(t, "{contract: generated, hints: {honor: [record.user]}}")
	hint := kv{"user", "a", "loki.attribute.labels", "user"}
	out := r.through(many(nil, record{body: 1, attrs: hint}, record{body: 2, attrs: kv{"user", "a"}}, record{body: 3, attrs: hint}))
	assert.Equal(t, "{service_name=\"unknown_service\", user=\"a\"} - 1\n{service_name=\"unknown_service\", user=\"a\"} - 3\n"+
		"{service_name=\"unknown_service\"} user=\"a\" - 2", r.shown(out))
}

// The hint for exporters that read it names what Loki makes labels of, as attributes are spelled, in one text with commas.
func TestTheHintThatIsWritten(t *testing.T) {
	f := func(config string, in kv, want string) {
		t.Helper()
		r := newRig(t, config)
		out := r.through(one(in, kv{"loki_resource_labels", "s"}, kv{"loki_resource_labels", "r"}))
		for range 2 {
			hint, ok := out.ResourceLogs().At(0).Resource().Attributes().Get("loki.resource.labels")
			require.True(t, ok)
			assert.Equal(t, want, hint.Str())
			assert.Empty(t, r.store(out).Entries[0].Clashes())
			for name := range r.store(out).Entries[0].Labels {
				found := false
				for key := range out.ResourceLogs().At(0).Resource().Attributes().All() {
					k := newKeys(r.layout).get(key)
					found = found || k.name == name && containsWord(hint.Str(), key)
				}
				assert.True(t, found, name)
			}
			out = r.through(out)
		}
	}
	f(ofNamespace+"\nhints: {emit: true}", kv{"k8s.namespace.name", "n", "loki.resource.labels", "x", "loki_resource_labels", "y"}, "service.name, k8s.namespace.name")
	f(ofNamespace+"\nhints: {emit: true}", kv{"k8s.pod.name", "n"}, "service.name")
	f("{contract: generated, labels: [{name: ns, from: [resource.k8s.namespace.name]}, {name: level, from: [severity]}, resource.a.b], hints: {emit: true}}",
		kv{"k8s.namespace.name", "n", "a-b", 1}, "service.name, ns, a.b")
}

func containsWord(list, word string) (found bool) {
	eachName(pcommon.NewValueStr(list), func(name string) { found = found || name == word })
	return found
}
