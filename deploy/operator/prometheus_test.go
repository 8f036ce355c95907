//go:build e2e

package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// assertPrometheus: the example of deploy/kubernetes scrapes each of the operator's pods at one port, though the operator's labels are others.
func (r *rig) assertPrometheus(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(t), "deploy/kubernetes/examples/prometheus.yaml"))
	require.NoError(t, err)
	var config struct {
		Jobs []struct {
			Rules []struct{ Regex, Action string } `yaml:"relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(content, &config))
	var keeps []*regexp.Regexp // of the name; of component and port
	for _, rule := range config.Jobs[0].Rules {
		if rule.Action == "keep" {
			keeps = append(keeps, regexp.MustCompile("^(?:"+rule.Regex+")$"))
		}
	}
	require.Len(t, keeps, 2)
	scraped := map[string]int{}
	for _, namespace := range []string{"sluice-agent", "sluice"} {
		for _, kind := range []string{"daemonset", "statefulset", "deployment"} {
			for name, w := range r.objects(t, namespace, kind) {
				labels := at(w, "spec", "template", "metadata", "labels")
				assert.Regexp(t, keeps[0], at(labels, "app.kubernetes.io/name"), name)
				for _, port := range at(w, "spec", "template", "spec", "containers", 0, "ports").([]any) {
					if keeps[1].MatchString(fmt.Sprint(at(labels, "app.kubernetes.io/component"), ";", at(port, "name"))) {
						scraped[name]++
					}
				}
			}
		}
	}
	assert.Equal(t, map[string]int{
		"sluice-agent-collector": 1, "sluice-gateway-collector": 1, "sluice-sampling-collector": 1, "sluice-scraper-collector": 1, "sluice-targetallocator": 1,
	}, scraped)
}
