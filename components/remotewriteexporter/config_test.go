package remotewriteexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/metadata"
)

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                                                         "endpoint: must be the whole address",
		"{endpoint: 'prometheus:9090'}":                                              `endpoint: must begin with http:// or https:// and a host, got "prometheus:9090"`,
		"{endpoint: /api/v1/write}":                                                  `endpoint: must begin with http:// or https:// and a host, got "/api/v1/write"`,
		"{endpoint: 'ftp://u:secret@host'}":                                          `endpoint: must begin with http:// or https:// and a host, got "ftp://u:xxxxx@host"`,
		"{endpoint: 'http://u:secret@h:x'}":                                          "endpoint: must be an address, got one that cannot be read",
		"{endpoint: 'http://h', protobuf_message: v2}":                               `protobuf_message: must be prometheus.WriteRequest (remote write 1.0) or io.prometheus.write.v2.Request (2.0), got "v2"`,
		"{endpoint: 'http://h', max_request_bytes: 1023}":                            "max_request_bytes: must be at least 1024, got 1023",
		"{endpoint: 'http://h', timeout: 0s}":                                        "timeout: must be positive, or a backend that hangs stops delivery for good, got 0s",
		"{endpoint: 'http://h', compression: gzip}":                                  `compression: remote write is always snappy, leave it out, got "gzip"`,
		"{endpoint: 'http://h', external_labels: {a: ''}}":                           "external_labels::a: must have a value, got none",
		"{endpoint: 'http://h', external_labels: {'': x}}":                           `external_labels: must be names that make labels, got ""`,
		"{endpoint: 'http://h', external_labels: {a.b: x, a-b: y}}":                  "external_labels: two keys are the label a_b",
		"{endpoint: 'http://h', sending_queue: {num_consumers: 0}}":                  "`num_consumers` must be positive",
		"{endpoint: 'http://h', retry_on_failure: {initial_interval: -1s}}":          "'initial_interval' must be non-negative",
		"{endpoint: 'http://h', sending_queue: {storage: x, wait_for_result: true}}": "not supported with a persistent queue",
	} {
		assert.ErrorContains(t, validate(t, text), want, text)
	}
	for _, text := range []string{
		"{endpoint: 'http://h:1/p'}", "{endpoint: 'https://u:p@h/p?x=y', compression: snappy}",
		"{endpoint: 'http://h', protobuf_message: io.prometheus.write.v2.Request, max_request_bytes: 1024, sending_queue: {enabled: false}}",
	} {
		assert.NoError(t, validate(t, text), text)
	}
}

func validate(t *testing.T, text string) error {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig()
	require.NoError(t, conf.Unmarshal(cfg))
	return xconfmap.Validate(cfg)
}

// The defaults that this exporter has for reasons of its own.
func TestDefaults(t *testing.T) {
	cfg := parse(t, "{endpoint: 'http://h', sending_queue: {sizer: bytes, queue_size: 1000000, batch: {min_size: 1000}}}")
	assert.Equal(t, 1, cfg.QueueConfig.Get().NumConsumers, "requests must not overtake each other")
	assert.True(t, cfg.RetryConfig.Enabled)
	assert.Equal(t, 30*time.Second, cfg.Timeout)
	assert.False(t, parse(t, "{endpoint: 'http://h', sending_queue: {enabled: false}}").QueueConfig.HasValue())
}

// An authenticator is asked for when the exporter starts.
func TestAuthenticatorIsLookedUp(t *testing.T) {
	cfg := parse(t, "{endpoint: 'http://h', auth: {authenticator: basicauth}}")
	e, err := NewFactory().CreateMetrics(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, e.Start(t.Context(), componenttest.NewNopHost()), "basicauth")
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestMutates(t *testing.T) {
	for text, want := range map[string]bool{
		"{endpoint: 'http://h', sending_queue: {enabled: false}}":                                                    false,
		"{endpoint: 'http://h', sending_queue: {enabled: false}, resource_to_telemetry_conversion: {enabled: true}}": true,
	} {
		e, err := NewFactory().CreateMetrics(t.Context(), exportertest.NewNopSettings(component.MustNewType("remote_write")), parse(t, text))
		require.NoError(t, err)
		assert.Equal(t, want, e.Capabilities().MutatesData, text)
	}
}
