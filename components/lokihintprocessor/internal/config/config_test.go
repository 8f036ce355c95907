package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// load reads a configuration as the collector does.
func load(t testing.TB, text string) (*Config, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := Default()
	require.NoError(t, conf.Unmarshal(cfg), text)
	return cfg, xconfmap.Validate(cfg)
}

func TestEveryKey(t *testing.T) {
	cfg, err := load(t, `
contract: list
index: [service.name, app, level, k8s.pod.name]
labels:
- resource.app
- {name: level, from: [severity, record.level], values: [info, error], max_values: 7}
- {name: k8s_pod_name, join: [app, level]}
service_name: [resource.app]
max_labels: 3
max_value_bytes: 100
long_value: truncate
max_request_bytes: 70000
budget: {window: 1m, max_values: 1, max_streams: 2, max_tenants: 3}
tenant: {from: [resource.team], default: nobody, metadata_key: X-Tenant}
hints: {honor: [resource.k8s.pod.name, loki.tenant], emit: true}
storage: file_storage/labels
`)
	require.NoError(t, err)
	id := component.MustNewIDWithName("file_storage", "labels")
	assert.Equal(t, &Config{
		Contract: "list",
		Index:    []string{"service.name", "app", "level", "k8s.pod.name"},
		Labels: []LabelConfig{
			{From: []string{"resource.app"}},
			{Name: "level", From: []string{"severity", "record.level"}, Values: []string{"info", "error"}, MaxValues: 7},
			{Name: "k8s_pod_name", Join: []string{"app", "level"}},
		},
		ServiceName: []string{"resource.app"}, MaxLabels: 3, MaxValueBytes: 100, LongValue: "truncate", MaxRequestBytes: 70000,
		Budget:  BudgetConfig{Window: time.Minute, MaxValues: 1, MaxStreams: 2, MaxTenants: 3},
		Tenant:  TenantConfig{From: []string{"resource.team"}, Default: "nobody", MetadataKey: "X-Tenant"},
		Hints:   HintsConfig{Honor: []string{"resource.k8s.pod.name", "loki.tenant"}, Emit: true},
		Storage: &id,
	}, cfg)
}

// Without any key it is valid: then there is service_name alone.
func TestNoKey(t *testing.T) {
	cfg, err := load(t, "{}")
	require.NoError(t, err)
	assert.Equal(t, Default(), cfg)
	plan, err := cfg.Plan()
	require.NoError(t, err)
	assert.Empty(t, plan.Labels)
}

func TestErrors(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := load(t, text)
		require.EqualError(t, err, strings.Join(want, "\n"), text)
	}
	f("contract: own", `contract: must be default, generated or list, got "own"`)
	f("contract: ''", `contract: must be default, generated or list, got ""`)
	f("contract: list", `index: must have service.name, without which Loki refuses streams that have no other label, got []`)
	f("{contract: list, index: [app]}", `index: must have service.name, without which Loki refuses streams that have no other label, got ["app"]`)
	f("{contract: list, index: [service.name, _]}", `index: must be keys that Loki can name, got "_"`)
	f("{contract: list, index: [resource_service_name, service.name]}",
		`index: must not have resource_service_name, which has the names of services that are no labels, got ["resource_service_name" "service.name"]`)
	f("index: [app]", `index: must not be set with contract: default, got ["app"]`)
	f("{contract: generated, index: [app]}", `index: must not be set with contract: generated, got ["app"]`)
	for _, from := range []string{"service", "record.a", "severity", "resource.", "resource._", "resource.日本", ""} {
		f(fmt.Sprintf("service_name: [%q]", from), fmt.Sprintf(`service_name: must be resource.<attribute>, got %q`, from))
		f(fmt.Sprintf("tenant: {from: [%q], default: a}", from), fmt.Sprintf(`tenant: from: must be resource.<attribute>, got %q`, from))
	}
	f("max_labels: 0", "max_labels: must be between 1 and 64, got 0")
	f("max_labels: 65", "max_labels: must be between 1 and 64, got 65")
	f("max_value_bytes: 15", "max_value_bytes: must be at least 16, got 15")
	f("long_value: cut", `long_value: must be demote or truncate, got "cut"`)
	f("max_request_bytes: 65535", "max_request_bytes: must be at least 65536, got 65535")
	f("budget: {window: 59s}", "budget: window: must be at least 1m, got 59s")
	f("budget: {max_values: 0}", "budget: max_values: must be positive, got 0")
	f("budget: {max_streams: 1}", "budget: max_streams: must be at least 2, got 1")
	f("budget: {max_tenants: 0}", "budget: max_tenants: must be positive, got 0")
	f("tenant: {from: [resource.team]}", "tenant: default: must be set with from, for records whose tenant is missing or invalid")
	f("tenant: {default: 'a:b'}", `tenant: default: must be a tenant of Loki (at most 150 bytes: letters, digits and !-_.*'(), but not . or ..), got "a:b"`)
	f("tenant: {metadata_key: ''}", "tenant: metadata_key: must not be empty")
	for _, from := range []string{"severity", "k8s.pod.name", "resource.", "record._", "loki.format", ""} {
		f(fmt.Sprintf("hints: {honor: [%q]}", from), fmt.Sprintf(`hints: honor: must be resource.<attribute>, record.<attribute> or loki.tenant, got %q`, from))
	}
	f("hints: {honor: [loki.tenant]}", "hints::honor: must not have loki.tenant without tenant::from, among which it chooses")
	f("hints: {honor: [resource.service.name]}",
		"hints::honor::0: name: must not be service_name, which every stream has; service_name says where it comes from")
	// All at once.
	f("{max_labels: 0, max_value_bytes: 1, budget: {max_values: 0, max_streams: 0}}", "max_labels: must be between 1 and 64, got 0", "max_value_bytes: must be at least 16, got 1",
		"budget: max_values: must be positive, got 0", "max_streams: must be at least 2, got 0")
}

func TestErrorsOfLabels(t *testing.T) {
	f := func(label, want string) {
		t.Helper()
		_, err := load(t, "{contract: generated, labels: ["+label+"]}")
		require.EqualError(t, err, "labels::0: "+want, label)
	}
	f("{name: a}", "from: must be set, or join, and not both, got [] and []")
	f("{name: a, from: [resource.a], join: [a]}", `from: must be set, or join, and not both, got ["resource.a"] and ["a"]`)
	for _, from := range []string{"a", "scope.a", "resource", "resource.", "record.__", "Severity", "resource.\xe6\x97\xa5"} {
		f(fmt.Sprintf("{name: a, from: [%q]}", from), fmt.Sprintf("from: must be resource.<attribute>, record.<attribute> or severity, got %q", from))
	}
	f("{join: [a]}", "name: must be set with join")
	f("{from: [severity]}", "name: must be set with from: [severity]")
	f("severity", "name: must be set with from: [severity]")
	for _, name := range []string{"_a", "a_", "a__b", "1a", "a.b", "a-b", "ä", "__a__", " a", "a\n"} {
		f(fmt.Sprintf("{name: %q, from: [resource.a]}", name), fmt.Sprintf(
			"name: must be letters, digits and single underscores between them, so that every version of Loki and its exporters spells it alike, got %q", name))
	}
	for _, key := range []string{"_a", "a.", "1a", "__a__", ".a"} { // also when it is the source's
		name, err := Name(key)
		require.NoError(t, err)
		if !labelName.MatchString(name) {
			f(fmt.Sprintf("%q", "resource."+key), fmt.Sprintf(
				"name: must be letters, digits and single underscores between them, so that every version of Loki and its exporters spells it alike, got %q", name))
		}
	}
	long := strings.Repeat("a", 1025)
	f("resource."+long, "name: must be letters, digits and single underscores between them, so that every version of Loki and its exporters spells it alike, got "+
		fmt.Sprintf("%q", long))
	f("resource.service.name", "name: must not be service_name, which every stream has; service_name says where it comes from")
	f("{name: resource_service_name, from: [resource.a]}", "name: must not be resource_service_name, which has the names of services that are no labels")
	f("{name: service_name, from: [resource.a]}", "name: must not be service_name, which every stream has; service_name says where it comes from")
	for _, name := range []string{
		"observed_timestamp", "severity_number", "severity_text", "trace_id", "span_id", "flags", "dropped_attributes_count",
		"scope_name", "scope_version", "scope_dropped_attributes_count", "detected_level",
	} {
		f(fmt.Sprintf("{name: %s, from: [resource.a]}", name), fmt.Sprintf("name: must not be one that Loki gives to what it finds in records, got %q", name))
	}
	f("{from: [resource.a], values: [b, '']}", "values: must not have an empty value")
	f("{from: [resource.a], max_values: -1}", "max_values: must not be negative, got -1")
}

// What only all labels together tell.
func TestErrorsOfPlans(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := load(t, text)
		require.EqualError(t, err, strings.Join(want, "\n"), text)
	}
	f("{contract: generated, labels: [resource.a.b, {name: a_b, from: [record.c]}]}", `labels::1: name: must differ from the other labels', got "a_b" twice`)
	f("{contract: generated, labels: [resource.a.b, resource.a-b]}", `labels::1: name: must differ from the other labels', got "a_b" twice`)
	f("{contract: generated, labels: [{name: j, join: [a]}, resource.a]}", `labels::0: join: must be labels above this one, got "a"`)
	f("{contract: generated, labels: [resource.a, {name: j, join: [a, j]}]}", `labels::1: join: must be labels above this one, got "j"`)
	f("{contract: generated, labels: [{name: j, join: [service_name]}]}", `labels::0: join: must be labels above this one, got "service_name"`)
	reachable := "service_namespace, service_instance_id, deployment_environment, deployment_environment_name, cloud_region, cloud_availability_zone, k8s_cluster_name, " +
		"k8s_namespace_name, k8s_pod_name, k8s_container_name, container_name, k8s_replicaset_name, k8s_deployment_name, k8s_statefulset_name, k8s_daemonset_name, " +
		"k8s_cronjob_name, k8s_job_name"
	const orGenerated = ", or any with contract: generated and Loki configured as the command lokihint prints"
	f("{labels: [{name: namespace, from: [resource.k8s.namespace.name]}, record.stream]}",
		`labels::0: name: Loki makes no label "namespace" with contract: default; it can be `+reachable+orGenerated,
		`labels::1: name: Loki makes no label "stream" with contract: default; it can be `+reachable+orGenerated)
	f("{contract: list, index: [service.name, a.b, k8s.pod.name], labels: [resource.a]}",
		`labels::0: name: Loki makes no label "a" with contract: list; it can be a_b, k8s_pod_name`+orGenerated)
	f("hints: {honor: [resource.k8s.pod.name, record.a]}", `hints::honor::1: name: Loki makes no label "a" with contract: default; it can be `+reachable+orGenerated)
}

// A source must be what it was when a label was written: else a second collector finds another value.
func TestErrorsOfSourcesThatAreWritten(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, text)
		if want == "" {
			require.NoError(t, err, text)
			return
		}
		require.EqualError(t, err, want, text)
	}
	f("{contract: generated, labels: [{name: app, from: [resource.app, resource.box]}, {name: box, from: [resource.k8s.container.name]}]}",
		"labels: sources of app must not be resource.box, to which label box is written; give its sources, or join it")
	f("{contract: generated, labels: [{name: a, from: [resource.b]}, {name: b, from: [resource.a]}]}", "labels: sources of a must not be resource.b, to which label b is written; give its sources, or join it\n"+
		"labels: sources of b must not be resource.a, to which label a is written; give its sources, or join it")
	f("{labels: [{name: k8s_pod_name, from: [resource.k8s_job_name]}, {name: k8s_job_name, from: [record.job]}]}",
		"labels: sources of k8s_pod_name must not be resource.k8s_job_name, to which label k8s_job_name is written; give its sources, or join it")
	f("{contract: generated, labels: [{name: b, from: [record.x]}, {name: a, from: [record.b]}]}", "")
	f("{contract: generated, labels: [resource.b, {name: a, from: [resource.x, resource.b]}]}", "")
	f("{contract: generated, labels: [{name: team, from: [resource.x]}], tenant: {from: [resource.y, resource.team], default: d}}",
		"tenant::from: must not be resource.team, to which label team is written; give its sources\n"+
			"tenant::from: must not be resource.team, which leaves the resource when label team is demoted; give the label another name")
	f("{contract: generated, labels: [resource.team], tenant: {from: [resource.team], default: d}}",
		"tenant::from: must not be resource.team, which leaves the resource when label team is demoted; give the label another name")
	f("{labels: [resource.k8s.namespace.name], tenant: {from: [resource.k8s.namespace.name], default: d}}", "")
}

// What Loki takes for a tenant; e2e holds it against a running Loki.
func TestValidTenant(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		assert.Equal(t, want, ValidTenant(id), "%q", id)
	}
	f("a", true)
	f("Team-1_x.y!*'()", true)
	f("...", true)
	f(".a", true)
	f(strings.Repeat("a", 150), true)
	f(strings.Repeat("a", 151), false)
	f("", false)
	f(".", false)
	f("..", false)
	others := strings.Split("!-_.*'()", "")
	for c := range 256 {
		alone := string([]byte{byte(c)})
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		f("a"+alone, letter || slices.Contains(others, alone))
	}
	f("a|b", false)
	f("a:b", false)
	f("ä", false)
}
