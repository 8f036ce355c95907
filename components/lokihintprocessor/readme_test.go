package lokihintprocessor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/internal/readme"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// README.md's first table of keys has each with its default, the second one every key of a label.
func TestReadmeTables(t *testing.T) {
	keys := readme.Section(t, "Keys")
	settings := readme.Before(t, keys, "\nA label is ")
	want := readme.Defaults(createDefaultConfig())
	want["service_name"] = "workload, then container" // which the row spells out
	assert.Equal(t, want, readme.Rows(t, settings))
	for _, source := range config.Default().ServiceName {
		assert.Contains(t, settings, "`"+strings.TrimPrefix(source, config.ResourcePrefix)+"`")
	}
	assert.ElementsMatch(t, readme.Keys[config.LabelConfig](""), readme.Names(keys[len(settings):]))
}

// README.md's example is valid.
func TestReadmeExample(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "processors::loki_hint", cfg)
	plan, err := cfg.Plan()
	require.NoError(t, err)
	assert.Len(t, plan.Labels, 4)
}

// Every metric that README.md names is there, and every reason.
func TestReadmeMetrics(t *testing.T) {
	table := readme.Section(t, "Its own metrics")
	named := readme.Names(table)
	for _, name := range named {
		assert.Contains(t, readme.Metrics(t, "processor_loki_hint_"), name)
	}
	assert.Greater(t, len(named), 8)
	values := map[string][]string{}
	for r := range numReasons {
		values["demoted_records"] = append(values["demoted_records"], r.String())
	}
	for m := range numMends {
		values["mended_attributes"] = append(values["mended_attributes"], m.String())
	}
	for name, of := range values {
		for _, v := range of {
			if v != "" {
				assert.Contains(t, readme.Row(t, table, name), "`"+v+"`")
			}
		}
	}
}

// The contract's table has the keys that Loki knows by itself, and the text their number.
func TestReadmeContracts(t *testing.T) {
	text := readme.Section(t, "Contracts")
	for _, key := range config.DefaultIndex() {
		assert.Contains(t, text, "`"+key+"`")
	}
	assert.Contains(t, text, fmt.Sprintf("The %d keys", len(config.DefaultIndex())))
}

// What README.md says a record becomes is what becomes of it.
func TestReadmeLabels(t *testing.T) {
	text := readme.Section(t, "Which label will I get?")
	f := func(config string, ofResource, ofRecord kv, want string, said ...string) {
		t.Helper()
		becomes(t, config, one(ofResource, nil, ofRecord), want)
		for _, s := range said {
			assert.Contains(t, text, s)
		}
	}
	f(ofNamespace, kv{"k8s.namespace.name", "shop", "service.name", "cart"}, nil, `{k8s_namespace_name="shop", service_name="cart"}`, `{k8s_namespace_name="shop"}`, `{service_name="cart"}`)
	f("labels: [{from: [resource.k8s.namespace.name], values: [x]}]", kv{"k8s.namespace.name", "shop", "service.name", "cart"}, nil,
		`{service_name="cart"} k8s_namespace_name="shop"`, `{service_name="cart"} \| k8s_namespace_name="shop"`)
	f("max_value_bytes: 16", kv{"service.name", "cart-0123456789-0123456789"}, nil, `{service_name="overflow"} resource_service_name="cart-0123456789-0123456789"`,
		`{service_name="overflow"} \| resource_service_name="cart"`)
	f(ofNamespace, kv{"service.name", "cart", "k8s.pod.name", "cart-0"}, kv{"k8s.pod.name", "cart-0", "http.route", "/pay"},
		`{service_name="cart"} http_route="/pay" k8s_pod_name="cart-0"`, `{service_name="cart"} \| k8s_pod_name="cart-0"`, `{service_name="cart"} \| http_route="/pay"`)
	f(ofNamespace, kv{"k8s.pod.name", "x"}, kv{"k8s.pod.name", "cart-0"}, `{service_name="unknown_service"} k8s_pod_name="x" record_k8s_pod_name="cart-0"`,
		`\| record_k8s_pod_name="cart-0"`, "`unknown_service`")
	f(ofNamespace, kv{"_", "v"}, nil, `{service_name="unknown_service"} attr_5f="v"`, `\| attr_5f="v"`)
}
