package remotewriteexporter

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sluice-otel/sluice/components/internal/readme"
	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// README.md's table of keys has each of ours with its default.
func TestReadmeKeys(t *testing.T) {
	rows := readme.Rows(t, readme.Section(t, "Keys"))
	assert.Equal(t, map[string]string{
		"endpoint": "(none)", "protobuf_message": messageV1, "max_request_bytes": "4194304", "external_labels": "(none)", "add_metric_suffixes": "true",
		"target_info::enabled": "true", "resource_to_telemetry_conversion::enabled": "false", "resource_to_telemetry_conversion::exclude_service_attributes": "false",
		"timeout": "30s", "sending_queue": "on, in memory", "retry_on_failure": "on, for 5 minutes",
	}, rows)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(createDefaultConfig()))
	for key, value := range map[string]any{
		"protobuf_message": messageV1, "max_request_bytes": 4194304, "add_metric_suffixes": true, "target_info::enabled": true,
		"resource_to_telemetry_conversion::enabled": false, "resource_to_telemetry_conversion::exclude_service_attributes": false,
		"sending_queue::num_consumers": 1,
	} {
		assert.EqualValues(t, value, conf.Get(key), key)
	}
	// A new key of ours would be missing in the table; confighttp's have a documentation of their own.
	for field := range reflect.TypeFor[Config]().NumField() {
		key, _, _ := strings.Cut(reflect.TypeFor[Config]().Field(field).Tag.Get("mapstructure"), ",")
		if f := reflect.TypeFor[Config]().Field(field).Type; key != "" && f.Kind() == reflect.Struct && f.NumField() < 3 && f.Field(0).Tag.Get("mapstructure") != "" {
			for i := range f.NumField() {
				assert.Contains(t, rows, key+"::"+f.Field(i).Tag.Get("mapstructure"))
			}
		} else if key != "" {
			assert.Contains(t, rows, key)
		}
	}
}

// README.md's example is valid.
func TestReadmeExample(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "exporters::remote_write", cfg)
	assert.Equal(t, 1, cfg.QueueConfig.Get().NumConsumers)
}

// README.md names every metric, with every value that its attribute can have.
func TestReadmeMetrics(t *testing.T) {
	values := map[string][]string{"written_samples": {"sample", "histogram", "exemplar"}}
	for o := range answer.NumOutcomes {
		values["requests"] = append(values["requests"], o.String())
	}
	for r := range answer.NumReasons {
		values["rejected_samples"] = append(values["rejected_samples"], r.String())
	}
	for u := range numUnsent {
		values["unsent_points"] = append(values["unsent_points"], u.String())
	}
	for m := range numMends {
		values["mended_attributes"] = append(values["mended_attributes"], m.String())
	}
	table := readme.Section(t, "Its own metrics")
	for name, documented := range readme.Metrics(t, "exporter_remote_write_") {
		row := readme.Row(t, table, name)
		for _, v := range values[name] {
			assert.Contains(t, row, "`"+v+"`", name)
			assert.Contains(t, documented, "``"+v+"``", "metadata.yaml: %s", name)
		}
	}
}

// README.md says the bounds that the code has.
func TestReadmeBounds(t *testing.T) {
	text := readme.Section(t, "What is sent again, what is given up")
	assert.Contains(t, text, "At most 128 requests more")
	assert.Equal(t, 128, maxSplits)
	assert.Contains(t, text, "after 100 near the new limit")
	assert.Equal(t, 100, growAfter)
	assert.Contains(t, text, "below 1,024 bytes")
	assert.Equal(t, 1024, minRequestBytes)
	assert.Contains(t, text, "at most 5 minutes")
	assert.InDelta(t, 5, answer.MaxRetryAfter.Minutes(), 0)
	assert.Contains(t, text, "coarser than scale -4")
	assert.Equal(t, -4, minScale)
	for _, status := range []int{401, 403, 404, 405, 407, 408, 415} {
		a := answer.Answer{Status: status}
		assert.Equal(t, answer.Refused, a.Judge(false, answer.Stats{Samples: 1}))
	}
}
