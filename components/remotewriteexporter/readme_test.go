package remotewriteexporter

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found, heading)
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// README.md's table of keys has each of ours with its default.
func TestReadmeKeys(t *testing.T) {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| `?([^|`]*?)`? \\|").FindAllStringSubmatch(section(t, "Keys"), -1) {
		rows[m[1]] = m[2]
	}
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
	_, block, _ := strings.Cut(section(t, "Use"), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(block))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("exporters::remote_write")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, 1, cfg.QueueConfig.Get().NumConsumers)
}

// README.md names every metric, with every value that its attribute can have.
func TestReadmeMetrics(t *testing.T) {
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
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
	table := section(t, "Its own metrics")
	for _, m := range regexp.MustCompile("(?m)^### otelcol_exporter_remote_write_([a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		row := regexp.MustCompile("(?m)^\\| `" + m[1] + "` \\|.*$").FindString(table)
		assert.NotEmpty(t, row, m[1])
		_, documented, _ := strings.Cut(string(text), m[0]+"\n")
		documented, _, _ = strings.Cut(documented, "\n### ")
		for _, v := range values[m[1]] {
			assert.Contains(t, row, "`"+v+"`", m[1])
			assert.Contains(t, documented, "``"+v+"``", "metadata.yaml: %s", m[1])
		}
	}
}

// README.md says the bounds that the code has.
func TestReadmeBounds(t *testing.T) {
	text := section(t, "What is sent again, what is given up")
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
