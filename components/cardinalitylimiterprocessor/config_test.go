package cardinalitylimiterprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.yaml.in/yaml/v3"
)

func loadConfig(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(raw).Unmarshal(cfg))
	return cfg, xconfmap.Validate(cfg)
}

func TestConfigOfEverything(t *testing.T) {
	cfg, err := loadConfig(t, `
idle_timeout: 5m
startup_grace: 0s
storage: file_storage/limits
limits_file: /etc/limits.yaml
max_memory_mib: 64
allow: [up]
protect: [method]
top: 3
page: 127.0.0.1:0
overflow: {placeholder: other, flush_interval: 10s, max_streams: 10, gauge: last}
rules:
- {name: a, metrics: ["http.*"], per: [metric, scope, resource.service.name], max_series: 10, reserve: 2, action: degrade, mode: observe}
- {name: b, per: [metric, attribute], max_values: 5, action: replace, mode: enforce}
`)
	require.NoError(t, err)
	assert.Equal(t, 5*time.Minute, cfg.IdleTimeout)
	assert.Equal(t, "file_storage/limits", cfg.Storage.String())
	assert.Equal(t, OverflowConfig{Placeholder: "other", FlushInterval: 10 * time.Second, MaxStreams: 10, Gauge: "last"}, cfg.Overflow)
	assert.Equal(t, RuleConfig{
		Name: "a", Metrics: []string{"http.*"}, Per: []string{"metric", "scope", "resource.service.name"}, MaxSeries: 10, Reserve: 2,
		Action: "degrade", Mode: "observe",
	}, cfg.Rules[0])
}

func TestConfigErrors(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if !strings.Contains(text, "rules:") {
			text += "\nrules: [{name: a, max_series: 1}]"
		}
		_, err := loadConfig(t, text)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	rule := func(text string, want ...string) {
		t.Helper()
		f("rules: [{"+text+"}]", append([]string{"rules::0: "}, want...)...)
		_, err := parseLimits([]byte("rules: [{" + text + "}]"))
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	f("rules: []", "rules: must not be empty without limits_file")
	f("rules: [{name: a, max_series: 1}, {name: a, max_series: 2}]", `rules: names must differ, got "a" twice`)
	f("idle_timeout: 59s", "idle_timeout: must be at least 1m, got 59s")
	f("startup_grace: -1s", "startup_grace: must not be negative, got -1s")
	f("max_memory_mib: 7", "max_memory_mib: must be at least 8, got 7")
	f("top: -1", "top: must be between 0 and 1000, got -1")
	f("top: 1001", "top: must be between 0 and 1000, got 1001")
	f("page: 0.0.0.0:80", `page: must be a port on loopback, as in localhost:8890, got "0.0.0.0:80"`)
	f("page: ':80'", "page: must be a port on loopback")
	f("page: localhost", "page: must be a port on loopback")
	f("overflow: {placeholder: ''}", "overflow: placeholder: must not be empty")
	f("overflow: {flush_interval: 999ms}", "overflow: flush_interval: must be at least 1s, got 999ms")
	f("overflow: {max_streams: 1}", "overflow: max_streams: must be at least 2, got 1")
	f("overflow: {gauge: median}", `gauge: must be one of [drop last min max mean sum], got "median"`)
	f("idle_timeout: 1s\ntop: -1", "idle_timeout: ", "top: ") // all at once

	rule("max_series: 1", "name: must not be empty")
	rule("name: a", "max_series: must be positive, got 0")
	rule("name: a, max_series: -1", "max_series: must be positive, got -1")
	rule("name: a, max_series: 1, per: [service.name]", `per: must be of metric, scope, attribute and resource.<attribute>, got "service.name"`)
	rule("name: a, max_series: 1, per: [resource.]", `got "resource."`)
	rule("name: a, max_series: 1, per: [metric, metric]", `per: names "metric" twice`)
	rule("name: a, max_series: 1, metrics: ['']", "metrics: must not have an empty name")
	rule("name: a, per: [attribute]", "max_values: must be positive with per: attribute, got 0")
	rule("name: a, per: [attribute], max_values: 1, max_series: 1", "max_series: must not be set with per: attribute, which limits values, got 1")
	rule("name: a, per: [attribute], max_values: 1, reserve: 1", "reserve: must not be set with per: attribute, got 1")
	rule("name: a, max_series: 1, max_values: 1", "max_values: must not be set without per: attribute, got 1")
	rule("name: a, max_series: 1, reserve: 2", "reserve: must be between 0 and max_series, got 2")
	rule("name: a, max_series: 1, reserve: -1", "reserve: must be between 0 and max_series, got -1")
	rule("name: a, max_series: 1, action: strip", `action: must be one of drop, overflow, replace, degrade, got "strip"`)
	rule("name: a, max_series: 1, mode: off", `mode: must be enforce or observe, got "off"`)
}

func TestStarsInNames(t *testing.T) {
	f := func(pattern, name string, want bool) {
		t.Helper()
		assert.Equal(t, want, globs([]string{"other", pattern}).MatchString(name), "%s of %q", pattern, name)
	}
	f("http.*", "http.server", true)
	f("http.*", "http.", true)
	f("http.*", "httpx", false)
	f("http.*", "xhttp.y", false)
	f("*.size", "a.b.size", true)
	f("a*c", "abbc", true)
	f("a*c", "abbd", false)
	f("a|b", "a", false)
	f("(", "(", true)
	f("*", "", true)
	f("*", "a\nb", true)
	f("*", "\xff", true)
	assert.Nil(t, globs(nil))
}
