package cluster

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The Prometheus of the tests is configured with what the backend's file tells its user to, and nothing else.
func TestPrometheusIsConfiguredAsItsUsersAreTold(t *testing.T) {
	file, err := os.ReadFile("../../configs/backends/lgtm.yaml")
	require.NoError(t, err)
	header := regexp.MustCompile(`(?ms)^#   (storage: .*?)\n#\n`).FindSubmatch(file)
	require.NotNil(t, header, "the header has no block that begins with storage:")
	var told, used map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(string(header[1]), "\n#   ", "\n")), &told))
	for decoder := yaml.NewDecoder(strings.NewReader(observabilityManifests)); used == nil; {
		var object struct {
			Data map[string]string
		}
		require.NoError(t, decoder.Decode(&object))
		if text, ok := object.Data["prometheus.yaml"]; ok {
			require.NoError(t, yaml.Unmarshal([]byte(text), &used))
		}
	}
	assert.Equal(t, told, used)
	assert.Contains(t, told, "otlp")
}
