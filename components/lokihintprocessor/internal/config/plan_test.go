package config

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// describe is a plan on a line for each label: its name, what carries it, where it comes from.
func describe(p *Plan) string {
	var lines []string
	for i := range p.Labels {
		l := &p.Labels[i]
		var from []string
		for _, s := range l.From {
			switch {
			case s.Key == "":
				from = append(from, "severity")
			case s.Record:
				from = append(from, "record "+s.Key)
			default:
				from = append(from, s.Key)
			}
		}
		for _, j := range l.Join {
			from = append(from, "+"+p.Labels[j].Name)
		}
		line := fmt.Sprintf("%s = %s <- %s", l.Name, l.Carrier, strings.Join(from, ", "))
		if l.OfRecord {
			line += " (record)"
		}
		if l.OnHint {
			line += " (hint)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestPlans(t *testing.T) {
	f := func(text, index string, want ...string) *Plan {
		t.Helper()
		cfg, err := load(t, text)
		require.NoError(t, err)
		plan, err := cfg.Plan()
		require.NoError(t, err)
		assert.Equal(t, strings.Join(want, "\n"), describe(plan))
		assert.Equal(t, index, strings.Join(plan.Index, " "))
		return plan
	}
	loki := strings.Join(DefaultIndex(), " ")
	f(`labels: [resource.k8s.namespace.name, {name: k8s_pod_name, from: [record.pod, severity, resource.k8s_pod_name]}, resource.k8s_job_name]`, loki,
		"k8s_namespace_name = k8s.namespace.name <- k8s.namespace.name",
		"k8s_pod_name = k8s.pod.name <- record pod, severity, k8s_pod_name (record)",
		"k8s_job_name = k8s.job.name <- k8s_job_name")
	// Any name, under a key that says it already or by itself.
	f(`{contract: generated, labels: [resource.k8s.node.name, {name: namespace, from: [resource.k8s.namespace.name]}, {name: k8s_pod_name, from: [resource.pod, resource.k8s.pod.name]},
		{name: level, from: [severity]}, {name: job, join: [namespace, level]}, record.http.method]}`,
		"service.name k8s.node.name namespace k8s_pod_name level job http_method",
		"k8s_node_name = k8s.node.name <- k8s.node.name",
		"namespace = namespace <- k8s.namespace.name",
		"k8s_pod_name = k8s_pod_name <- pod, k8s.pod.name",
		"level = level <- severity (record)",
		"job = job <- +namespace, +level (record)",
		"http_method = http_method <- record http.method (record)")
	f(`{contract: list, index: [team, service.name, a.b, a_b], labels: [resource.a-b, {name: team, from: [record.x]}]}`, "team service.name a.b a_b",
		"a_b = a.b <- a-b", "team = team <- record x (record)")
	// Hints ask for labels below the declared ones.
	plan := f(`{contract: generated, hints: {honor: [record.a, resource.b, resource.a, loki.tenant]}, labels: [resource.b], tenant: {from: [resource.t], default: d}}`,
		"service.name b a",
		"b = b <- b", "a = a <- record a (record) (hint)")
	assert.True(t, plan.TenantOnHint)
	assert.Equal(t, []string{"t"}, plan.Tenant)
}

func TestBudgetsOfLabels(t *testing.T) {
	cfg, err := load(t, "{labels: [resource.k8s.pod.name, {from: [resource.k8s.job.name], max_values: 3, values: [a, b]}], budget: {max_values: 9}}")
	require.NoError(t, err)
	plan, err := cfg.Plan()
	require.NoError(t, err)
	assert.Equal(t, 9, plan.Labels[0].MaxValues)
	assert.Nil(t, plan.Labels[0].Values)
	assert.Equal(t, 3, plan.Labels[1].MaxValues)
	assert.Equal(t, []string{"a", "b"}, plan.Labels[1].Values)
	assert.False(t, plan.TenantOnHint)
	assert.Equal(t, []string{
		"k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name", "k8s.container.name", "container.name",
	}, plan.Service)
}

// A name that a label may have is one that Loki leaves as it is; and every key has a name that stays when it is a key.
func TestNamesStay(t *testing.T) {
	f := func(key string) {
		t.Helper()
		name, err := Name(key)
		if err != nil {
			return
		}
		again, err := Name(name)
		require.NoError(t, err, "%q %q", key, name)
		require.Equal(t, name, again, "%q", key)
		if labelName.MatchString(key) {
			require.Equal(t, key, name)
		}
	}
	for _, key := range DefaultIndex() {
		f(key)
	}
	dice := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same each time
	letters := []string{"a", "B", "0", "9", "_", "__", ".", "-", "ä", "日", "\xff", " "}
	for range 10_000 {
		key := make([]string, dice.IntN(8))
		for i := range key {
			key[i] = letters[dice.IntN(len(letters))]
		}
		f(strings.Join(key, ""))
	}
}

// What exporters with the rules of before (Alloy's, and the lokiexporter's) make of a label's name is the name, too: there a digit or an underscore at the start is not
// left alone, and runs of underscores stay.
func TestNamesAreThoseOfOtherExporters(t *testing.T) {
	for _, name := range []string{"a", "a_b", "k8s_pod_name", "A1_b2_C3"} {
		assert.Regexp(t, labelName, name)
	}
	for _, name := range []string{"_a", "a__b", "1a", "a_", "__a__", "key.a", ""} {
		assert.NotRegexp(t, labelName, name)
	}
}
