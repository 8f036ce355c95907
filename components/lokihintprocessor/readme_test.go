package lokihintprocessor

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// section is what is below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(readme(t), "\n## "+heading+"\n")
	require.True(t, found, heading)
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// README.md's first table of keys has each with its default, the second one every key of a label.
func TestReadmeTables(t *testing.T) {
	settings, labels, found := strings.Cut(section(t, "Keys"), "\nA label is ")
	require.True(t, found)
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| `?([^|`]*?)`? \\| [A-Za-z]* ?\\|").FindAllStringSubmatch(settings, -1) {
		rows[m[1]] = m[2]
	}
	want := map[string]string{}
	defaults("", reflect.ValueOf(createDefaultConfig()).Elem(), want)
	want["service_name"] = "workload, then container" // which the row spells out
	assert.Equal(t, want, rows)
	for _, source := range config.Default().ServiceName {
		assert.Contains(t, settings, "`"+strings.TrimPrefix(source, config.ResourcePrefix)+"`")
	}

	var keys, wantKeys []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(labels, -1) {
		keys = append(keys, m[1])
	}
	for i := range reflect.TypeFor[config.LabelConfig]().NumField() {
		wantKeys = append(wantKeys, reflect.TypeFor[config.LabelConfig]().Field(i).Tag.Get("mapstructure"))
	}
	assert.ElementsMatch(t, wantKeys, keys)
}

func defaults(prefix string, cfg reflect.Value, into map[string]string) {
	for i := range cfg.NumField() {
		f, key := cfg.Field(i), prefix+cfg.Type().Field(i).Tag.Get("mapstructure")
		switch {
		case f.Kind() == reflect.Struct:
			defaults(key+"::", f, into)
		case f.Kind() == reflect.Bool:
			into[key] = strconv.FormatBool(f.Bool())
		case f.IsZero():
			into[key] = "(none)"
		default:
			into[key] = strings.Replace(fmt.Sprint(f.Interface()), "m0s", "m", 1)
		}
	}
}

// README.md's example is valid.
func TestReadmeExample(t *testing.T) {
	_, block, _ := strings.Cut(readme(t), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(block))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("processors::loki_hint")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	plan, err := cfg.Plan()
	require.NoError(t, err)
	assert.Len(t, plan.Labels, 4)
}

// Every metric that README.md names is there, and every reason.
func TestReadmeMetrics(t *testing.T) {
	named := 0
	text := section(t, "Its own metrics")
	for row := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		first, rest, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			named++
			assert.Contains(t, metricNames(t), "otelcol_processor_loki_hint_"+m[1])
		}
		values := map[string][]string{}
		for r := range numReasons {
			values["`demoted_records`"] = append(values["`demoted_records`"], r.String())
		}
		for m := range numMends {
			values["`mended_attributes`"] = append(values["`mended_attributes`"], m.String())
		}
		metric, _, _ := strings.Cut(first, " ")
		for _, v := range values[metric] {
			if v != "" {
				assert.Contains(t, rest, "`"+v+"`", metric)
			}
		}
	}
	assert.Greater(t, named, 8)
}

func metricNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile("(?m)^### (otelcol_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// The contract's table has the keys that Loki knows by itself, and the text their number.
func TestReadmeContracts(t *testing.T) {
	text := section(t, "Contracts")
	for _, key := range config.DefaultIndex() {
		assert.Contains(t, text, "`"+key+"`")
	}
	assert.Contains(t, text, fmt.Sprintf("The %d keys", len(config.DefaultIndex())))
}

// What README.md says a record becomes is what becomes of it.
func TestReadmeLabels(t *testing.T) {
	text := section(t, "Which label will I get?")
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
