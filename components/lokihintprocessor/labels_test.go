package lokihintprocessor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

const (
	namespaceAndContainer = "labels: [resource.k8s.namespace.name, resource.k8s.container.name]"
	ofNamespace           = "labels: [resource.k8s.namespace.name]"
)

// Labels are those that are declared, and service_name; what Loki would make a label of by itself keeps its name as metadata.
func TestDeclaredLabels(t *testing.T) {
	becomes(t, namespaceAndContainer,
		one(kv{"service.name", "cart", "k8s.namespace.name", "shop", "k8s.container.name", "server", "k8s.pod.name", "cart-0", "service.instance.id", "i1", "host.name", "n1"},
			kv{"k8s.pod.uid", "u"}, kv{"k8s.job.name", "j", "http.route", "/pay"}),
		`{k8s_container_name="server", k8s_namespace_name="shop", service_name="cart"} `+
			`host_name="n1" http_route="/pay" k8s_job_name="j" k8s_pod_name="cart-0" k8s_pod_uid="u" service_instance_id="i1"`)
	becomes(t, "{}", one(kv{"service.name", "cart", "k8s.namespace.name", "shop"}, nil, nil), `{service_name="cart"} k8s_namespace_name="shop"`)
	// None has a value.
	becomes(t, namespaceAndContainer, one(kv{"service.name", "cart", "k8s.namespace.name", ""}, nil, nil), `{service_name="cart"} k8s_namespace_name=""`)
	// All 18 that Loki knows.
	all := kv{}
	var want []string
	for _, key := range config.DefaultIndex() {
		all = append(all, key, "v")
		if key != serviceKey && key != "k8s.namespace.name" {
			want = append(want, strings.ReplaceAll(key, ".", "_")+`="v"`)
		}
	}
	slices.Sort(want)
	becomes(t, ofNamespace, one(all, nil, nil), `{k8s_namespace_name="v", service_name="v"} `+strings.Join(want, " "))
}

func TestSources(t *testing.T) {
	f := func(label string, in kv, want ...string) {
		t.Helper()
		becomes(t, "{contract: generated, labels: ["+label+"]}", one(append(kv{"service.name", "s"}, in...), nil, nil), want...)
	}
	const app = "{name: app, from: [resource.a, resource.b.c, resource.service.name]}"
	f(app, kv{"a", "1", "b.c", "2"}, `{app="1", service_name="s"} a="1" b_c="2"`)
	f(app, kv{"a", "", "b.c", "2"}, `{app="2", service_name="s"} a="" b_c="2"`)
	f(app, kv{}, `{app="s", service_name="s"}`)
	// A source is found by what LogQL calls it; the spelling of the configuration is better.
	f(app, kv{"b-c", "2"}, `{app="2", service_name="s"} b_c="2"`)
	f(app, kv{"b_c", "1", "b.c", "2", "b-c", "3"}, `{app="2", service_name="s"} b_c="2" resource_b_c="1" resource_b_c_2="3"`)
	// What is the label already comes last, and goes when it says something else.
	f(app, kv{"app", "1"}, `{app="s", service_name="s"} resource_app="1"`)
	f("{name: app, from: [resource.a]}", kv{"app", "1"}, `{app="1", service_name="s"}`)
	f("{name: app, from: [resource.a]}", kv{"app", "1", "a", "1"}, `{app="1", service_name="s"} a="1"`)
	f("{name: app, from: [resource.a]}", kv{"app", "1", "a", "2"}, `{app="2", service_name="s"} a="2" resource_app="1"`)
	// The other name is none that Loki makes a label of.
	becomes(t, "{contract: list, index: [service.name, a, resource_a], labels: [{name: a, from: [resource.x]}]}", one(kv{"x", "v", "a", "o"}, nil, nil),
		`{a="v", service_name="unknown_service"} resource_a_2="o" x="v"`)
	// The key is the label's: nothing is there twice.
	f("resource.b.c", kv{"b.c", "2"}, `{b_c="2", service_name="s"}`)
	f("resource.b.c", kv{"b_c", "2"}, `{b_c="2", service_name="s"}`)
	f("resource.b.c", kv{"b.c", "2", "b_c", "2"}, `{b_c="2", service_name="s"}`)
}

// What a label's value may be, and what is no value of one but stays.
func TestKindsOfValues(t *testing.T) {
	f := func(v any, want string) {
		t.Helper()
		becomes(t, ofNamespace, one(kv{"k8s.namespace.name", v}, nil, nil), want)
	}
	f("a b", `{k8s_namespace_name="a b", service_name="unknown_service"}`)
	f(" ", `{k8s_namespace_name=" ", service_name="unknown_service"}`)
	f("a\x00\n\"\\", `{k8s_namespace_name="a\x00\n\"\\", service_name="unknown_service"}`)
	f(7, `{k8s_namespace_name="7", service_name="unknown_service"}`)
	f(1.5, `{k8s_namespace_name="1.5", service_name="unknown_service"}`)
	f(true, `{k8s_namespace_name="true", service_name="unknown_service"}`)
	f(false, `{k8s_namespace_name="false", service_name="unknown_service"}`)
	f("", `{service_name="unknown_service"} k8s_namespace_name=""`)
	f(nil, `{service_name="unknown_service"} k8s_namespace_name=""`)
	f([]byte{1, 2}, `{service_name="unknown_service"} k8s_namespace_name="AQI="`)
	f([]any{"a", 1}, `{service_name="unknown_service"} k8s_namespace_name="[\"a\",1]"`)
	f([]any{}, `{service_name="unknown_service"} k8s_namespace_name="[]"`)
	f(kv{}, `{service_name="unknown_service"}`)
	f(kv{"a", 1, "b", kv{"c.d", "e"}}, `{service_name="unknown_service"} k8s_namespace_name_a="1" k8s_namespace_name_b_c_d="e"`)
}

// The same for service.name, for which others stand in.
func TestServiceName(t *testing.T) {
	f := func(in kv, want string) {
		t.Helper()
		becomes(t, "{}", one(in, nil, nil), want)
	}
	f(kv{"service.name", "a", "k8s.deployment.name", "d"}, `{service_name="a"} k8s_deployment_name="d"`)
	f(kv{"service.name", 7}, `{service_name="7"}`)
	f(kv{"service.name", "", "k8s.deployment.name", "d"}, `{service_name="d"} k8s_deployment_name="d"`)
	f(kv{"service.name", nil, "k8s.deployment.name", "d"}, `{service_name="d"} k8s_deployment_name="d"`)
	f(kv{}, `{service_name="unknown_service"}`)
	f(kv{"service.name", ""}, `{service_name="unknown_service"}`)
	f(kv{"service.name", "unknown_service", "container.name", "c"}, `{service_name="c"} container_name="c" resource_service_name="unknown_service"`)
	f(kv{"service.name", "unknown_service:java", "container.name", "c"}, `{service_name="c"} container_name="c" resource_service_name="unknown_service:java"`)
	f(kv{"service.name", "unknown_service:java"}, `{service_name="unknown_service:java"}`)
	f(kv{"service.name", "unknown_servicex", "container.name", "c"}, `{service_name="unknown_servicex"} container_name="c"`)
	f(kv{"service_name", "a"}, `{service_name="a"}`)
	f(kv{"service_name", "a", "service.name", "b"}, `{service_name="b"} resource_service_name="a"`)
	f(kv{"service_name", "a", "service.name", "a"}, `{service_name="a"}`)
	f(kv{"service.name", kv{"a", "b"}, "container.name", "c"}, `{service_name="c"} container_name="c" resource_service_name_a="b"`)
	f(kv{"service.name", []any{"a"}}, `{service_name="unknown_service"} resource_service_name="[\"a\"]"`)
	f(kv{"service", kv{"name", "a"}}, `{service_name="unknown_service"} resource_service_name="a"`)
	f(kv{"service.name", "x", "service", kv{"name", "a"}}, `{service_name="x"} resource_service_name="a"`)
	// Each in its turn.
	chain := []string{"container.name", "k8s.container.name", "k8s.job.name", "k8s.cronjob.name", "k8s.daemonset.name", "k8s.statefulset.name", "k8s.deployment.name"}
	in := kv{}
	for i, key := range chain {
		in = append(in, key, i)
		r := newRig(t, "{}")
		assert.Contains(t, r.shown(r.through(one(in, nil, nil))), fmt.Sprintf(`{service_name="%d"}`, i))
	}
	becomes(t, "service_name: [resource.team, resource.a]", one(kv{"a", "x", "k8s.job.name", "j"}, nil, nil), `{service_name="x"} a="x" k8s_job_name="j"`)
	becomes(t, "service_name: []", one(kv{"k8s.job.name", "j"}, nil, nil), `{service_name="unknown_service"} k8s_job_name="j"`)
}

// Twenty labels are declared and fifteen may be: the others are metadata under their names, whatever came first on the resource.
func TestMaxLabels(t *testing.T) {
	var keys []string
	in, back := kv{"service.name", "s"}, kv{"service.name", "s"}
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("resource.l%c", 'a'+i))
		in = append(in, fmt.Sprintf("l%c", 'a'+i), i)
		back = append(kv{fmt.Sprintf("l%c", 'a'+i), i}, back...)
	}
	const want = `{la="0", lb="1", lc="2", ld="3", le="4", lf="5", lg="6", lh="7", li="8", lj="9", lk="10", ll="11", lm="12", ln="13", lo="14", service_name="s"} ` +
		`lp="15" lq="16" lr="17" ls="18" lt="19"`
	config := "{contract: generated, labels: [" + strings.Join(keys, ", ") + "]}"
	becomes(t, config, one(in, nil, nil), want)
	becomes(t, config, one(back, nil, nil), want)
	// Those without a value, and those that are demoted for themselves, take no place.
	becomes(t, "{contract: generated, max_labels: 1, labels: [resource.a, {from: [resource.b], values: [x]}, resource.c, resource.d]}",
		one(kv{"b", "y", "d", 2, "c", 1}, nil, nil), `{c="1", service_name="unknown_service"} b="y" d="2"`)
}

func TestLongValues(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		v := strings.Repeat("x", n)
		becomes(t, ofNamespace, one(kv{"k8s.namespace.name", v, "service.name", "s"}, nil, nil), fmt.Sprintf(want, v))
	}
	f(2048, `{k8s_namespace_name="%s", service_name="s"}`)
	f(2049, `{service_name="s"} k8s_namespace_name="%s"`)
	g := func(in kv, want string) {
		t.Helper()
		becomes(t, "{max_value_bytes: 16, labels: [{name: k8s_namespace_name, from: [resource.ns]}]}", one(in, nil, nil), want)
	}
	g(kv{"ns", "éééééééé"}, `{k8s_namespace_name="éééééééé", service_name="unknown_service"} ns="éééééééé"`)
	g(kv{"ns", "éééééééé1"}, `{service_name="unknown_service"} k8s_namespace_name="éééééééé1" ns="éééééééé1"`)
	g(kv{"service.name", "01234567890123456"}, `{service_name="overflow"} resource_service_name="01234567890123456"`)
	g(kv{"k8s.deployment.name", "01234567890123456"}, `{service_name="overflow"} k8s_deployment_name="01234567890123456" resource_service_name="01234567890123456"`)
	// What was no name gives way to the one that was found.
	g(kv{"service.name", []any{"a"}, "k8s.deployment.name", "01234567890123456"},
		`{service_name="overflow"} k8s_deployment_name="01234567890123456" resource_service_name="01234567890123456" resource_service_name_2="[\"a\"]"`)
	g(kv{"service.name", "01234567890123456", "resource_service_name", "a"},
		`{service_name="overflow"} resource_resource_service_name="a" resource_service_name="01234567890123456"`)
}

// Truncated between two characters, with the whole one as metadata.
func TestLongValuesThatAreTruncated(t *testing.T) {
	const long = "0123456789abcdefghij"
	f := func(config string, ofResource, ofRecord kv, want string) {
		t.Helper()
		becomes(t, "{contract: generated, long_value: truncate, max_value_bytes: 16, "+config+"}", one(ofResource, nil, ofRecord), want)
	}
	f("labels: [resource.a.b]", kv{"a.b", long}, nil, `{a_b="0123456789abcdef", service_name="unknown_service"} resource_a_b="0123456789abcdefghij"`)
	f("labels: [resource.a.b]", kv{"a.b", long[:16]}, nil, `{a_b="0123456789abcdef", service_name="unknown_service"}`)
	f("labels: [resource.a.b]", kv{"a.b", "0123456789abcd日本"}, nil, `{a_b="0123456789abcd", service_name="unknown_service"} resource_a_b="0123456789abcd日本"`)
	f("labels: [resource.a.b]", kv{"a.b", "0123456789abc日本"}, nil, `{a_b="0123456789abc日", service_name="unknown_service"} resource_a_b="0123456789abc日本"`)
	f("labels: [{name: l, from: [resource.a.b]}]", kv{"a.b", long}, nil, `{l="0123456789abcdef", service_name="unknown_service"} a_b="0123456789abcdefghij"`)
	f("labels: [record.a.b]", nil, kv{"a.b", long}, `{a_b="0123456789abcdef", service_name="unknown_service"} record_a_b="0123456789abcdefghij"`)
	f("labels: [resource.a, resource.b, {name: j, join: [a, b]}]", kv{"a", "0123456789", "b", "abcdefghij"}, nil,
		`{a="0123456789", b="abcdefghij", j="0123456789/abcde", service_name="unknown_service"}`)
	f("labels: []", kv{"service.name", long}, nil, `{service_name="0123456789abcdef"} resource_service_name="0123456789abcdefghij"`)
	f("labels: [{name: l, from: [resource.a.b], values: [x]}]", kv{"a.b", long}, nil,
		`{service_name="unknown_service"} a_b="0123456789abcdefghij" l="0123456789abcdef"`)
	// One that is too long for a label, and not in the budget either.
	r := newRig(t, "{long_value: truncate, max_value_bytes: 16, budget: {max_values: 1}}")
	r.send(one(kv{"service.name", "first"}, nil, nil))
	assert.Equal(t, `{service_name="overflow"} resource_service_name="0123456789abcdefghij"`, r.shown(r.through(one(kv{"service.name", long}, nil, nil))))
}

func TestVocabulary(t *testing.T) {
	f := func(in kv, want string) {
		t.Helper()
		becomes(t, "{contract: generated, labels: [{name: env, from: [resource.e.n, resource.f], values: [prod, test]}]}", one(in, nil, nil), want)
	}
	f(kv{"e.n", "prod"}, `{env="prod", service_name="unknown_service"} e_n="prod"`)
	f(kv{"e.n", "Prod"}, `{service_name="unknown_service"} e_n="Prod" env="Prod"`)
	f(kv{"e.n", "x", "f", "prod"}, `{service_name="unknown_service"} e_n="x" env="x" f="prod"`)
	f(kv{"env", "x"}, `{service_name="unknown_service"} env="x"`)
	f(kv{"env", "prod"}, `{env="prod", service_name="unknown_service"}`)
	f(kv{"env", kv{"a", 1}, "f", "x"}, `{service_name="unknown_service"} env="x" f="x" resource_env_a="1"`)
}

func TestJoinedLabels(t *testing.T) {
	f := func(config string, in kv, want string) {
		t.Helper()
		becomes(t, "{contract: generated, max_value_bytes: 16, labels: ["+config+"]}", one(in, nil, nil), want)
	}
	const job = "resource.a, {from: [resource.b], values: [y]}, {name: job, join: [a, b]}"
	f(job, kv{"a", "x", "b", "y"}, `{a="x", b="y", job="x/y", service_name="unknown_service"}`)
	f(job, kv{"a", "x", "b", "z"}, `{a="x", job="x/z", service_name="unknown_service"} b="z"`)
	f(job, kv{"a", "x"}, `{a="x", service_name="unknown_service"}`)
	f(job, kv{"b", "y"}, `{b="y", service_name="unknown_service"}`)
	f(job, kv{"a", "x", "b", "y", "job", "x/y"}, `{a="x", b="y", job="x/y", service_name="unknown_service"}`)
	f(job, kv{"a", "x", "b", "y", "job", "other"}, `{a="x", b="y", job="x/y", service_name="unknown_service"} resource_job="other"`)
	f(job, kv{"job", "alone"}, `{job="alone", service_name="unknown_service"}`)
	f(job, kv{"a", "xxxxxxxxxxxx", "b", "yyyy"}, `{a="xxxxxxxxxxxx", service_name="unknown_service"} b="yyyy" job="xxxxxxxxxxxx/yyyy"`)
	f("resource.a, {name: j, join: [a]}, {name: k, join: [j, a, j]}", kv{"a", "x"}, `{a="x", j="x", k="x/x/x", service_name="unknown_service"}`)
}

// A list that somebody else has made: keys without dots cannot be demoted by another spelling, so they move to the scopes.
func TestAListOfOnesOwn(t *testing.T) {
	f := func(in, ofScope, ofRecord kv, want string) {
		t.Helper()
		becomes(t, "{contract: list, index: [service.name, team, pod, a.b, a_b], labels: [resource.team]}", one(in, ofScope, ofRecord), want)
	}
	f(kv{"team", "t", "pod", "p", "a.b", "c", "x", "y"}, nil, nil, `{service_name="unknown_service", team="t"} a_b="c" pod="p" x="y"`)
	f(kv{"pod", "p"}, kv{"pod", "p"}, kv{"pod", "p"}, `{service_name="unknown_service"} pod="p"`)
	f(kv{"pod", "p"}, kv{"pod", "q"}, kv{"pod", "r"}, `{service_name="unknown_service"} pod="p" record_pod="r" scope_pod="q"`)
	f(kv{"pod", 7}, kv{"pod", kv{"x", 1}}, nil, `{service_name="unknown_service"} pod="7" scope_pod_x="1"`)
	f(kv{"pod", kv{"x", 1}}, kv{"pod", "q"}, nil, `{service_name="unknown_service"} pod_x="1" scope_pod="q"`)
	f(kv{"a.b", 1, "a_b", 2}, nil, nil, `{service_name="unknown_service"} a_b="1" resource_a_b="2"`)
	f(kv{"a_b", 2}, nil, nil, `{service_name="unknown_service"} a_b="2"`)
}

// Every scope has what moved.
func TestWhatMovesIsOnEveryScope(t *testing.T) {
	ld := logs(resource{attrs: kv{"service.name", "s", "pod", "p"}, scopes: []scope{
		{name: "a", records: []record{{body: "1"}, {body: "2"}}},
		{name: "b", attrs: kv{"pod", "q"}, records: []record{{body: "3", attrs: kv{"pod", "q"}}}},
	}})
	becomes(t, "{contract: list, index: [service.name, pod]}", ld,
		`{service_name="s"} pod="p" scope_name="a" - 1`, `{service_name="s"} pod="p" scope_name="a" - 2`, `{service_name="s"} pod="p" record_pod="q" scope_name="b" scope_pod="q" - 3`)
}

func TestPromtailsLabels(t *testing.T) {
	const config = `
contract: generated
labels:
- {name: namespace, from: [resource.k8s.namespace.name]}
- {name: app, from: [resource.k8s.pod.label.app.kubernetes.io/name, resource.k8s.deployment.name, resource.k8s.pod.name]}
- {name: job, join: [namespace, app]}
- {name: stream, from: [record.log.iostream], values: [stdout, stderr]}
- {name: pod, from: [resource.k8s.pod.name], max_values: 1}
`
	becomes(t, config, one(kv{"k8s.namespace.name", "shop", "k8s.deployment.name", "cart", "k8s.pod.name", "cart-0"}, nil, kv{"log.iostream", "stderr"}),
		`{app="cart", job="shop/cart", namespace="shop", pod="cart-0", service_name="cart", stream="stderr"} `+
			`k8s_deployment_name="cart" k8s_namespace_name="shop" k8s_pod_name="cart-0" log_iostream="stderr"`)
	r := newRig(t, config)
	for i, want := range []string{
		`{app="p0", pod="p0", service_name="unknown_service"} k8s_pod_name="p0"`,
		`{app="p1", service_name="unknown_service"} k8s_pod_name="p1" pod="p1"`,
	} {
		assert.Equal(t, want, r.shown(r.through(one(kv{"k8s.pod.name", fmt.Sprint("p", i)}, nil, nil))))
	}
}
