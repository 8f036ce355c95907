//go:build e2e

package kubernetes

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The Target Allocator drops keys that it does not know without a word. Its types are internal to it, so this reads them from the
// source of the version that is shipped.
func TestTheTargetAllocatorKnowsEveryKey(t *testing.T) {
	types := allocatorTypes(t)
	check := func(text string) []string {
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(text), &v))
		return unknownKeys(types, types["Config"], v, "")
	}
	each(t, func(t *testing.T, all rendered) {
		config := all.get(t, "ConfigMap", "sluice", "sluice-targetallocator").Data["targetallocator.yaml"]
		assert.Empty(t, check(config))
		// It ends up where the arguments say.
		pod := all.get(t, "Deployment", "sluice", "sluice-targetallocator").Spec.Template.Spec
		assert.Equal(t, []string{"--config-file=" + pod.Containers[0].VolumeMounts[0].MountPath + "/targetallocator.yaml"}, pod.Containers[0].Args)

		var c struct {
			Namespace string `yaml:"collector_namespace"`
			Selector  any    `yaml:"collector_selector"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(config), &c))
		// Who shares the targets is who asks for them, under its pod's name.
		var sharing, asking []string
		for _, w := range all.workloads() {
			if w.Metadata.Namespace == c.Namespace && selects(t, c.Selector, w.Spec.Template.Metadata.Labels) {
				sharing = append(sharing, w.Metadata.Name)
			}
		}
		all.collectors(t, func(name string, w object, c container) {
			env := all.env(t, w.Metadata.Namespace, c)
			receivers := env["SCRAPE_RECEIVERS"]
			if all.configs(t, w, c)[0] == "scraper.yaml" && (receivers == "" || strings.Contains(receivers, "prometheus/allocator")) {
				asking = append(asking, w.Metadata.Name)
				assert.Equal(t, "<metadata.name>", env["POD_NAME"], name)
			}
		})
		assert.Len(t, sharing, 1)
		assert.Equal(t, sharing, asking)
	})

	good := read(t, "deploy/kubernetes/tiers/targetallocator/targetallocator.yaml")
	bad := func(old, replacement, want string) {
		t.Helper()
		require.Contains(t, good, old)
		assert.Equal(t, []string{want}, check(strings.Replace(good, old, replacement, 1)))
	}
	bad("  scrape_interval:", "  scrapeInterval:", "prometheus_cr.scrapeInterval")
	bad("collector_selector:", "collectorSelector:", "collectorSelector")
	bad("prometheus_cr:", "prometheusCR:", "prometheusCR")
	bad("  matchLabels:", "  match_labels:", "collector_selector.match_labels")
	bad("operator: NotIn", "op: NotIn", "prometheus_cr.service_monitor_selector.matchExpressions.0.op")
}

// allocatorTypes are the structs of its package config: type of each key. A nil type is a value that is not looked into.
func allocatorTypes(t *testing.T) map[string]map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/open-telemetry/opentelemetry-operator/cmd/otel-allocator/internal/config")
	cmd.Dir = root(t, "e2e/backends/targetallocator")
	out, err := cmd.Output()
	require.NoError(t, err)
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), "config.go"), nil, 0)
	require.NoError(t, err)
	types := map[string]map[string]string{
		// of Kubernetes; the allocator takes both spellings of its keys
		"LabelSelector": {"matchLabels": "", "matchExpressions": "Requirement"},
		"Requirement":   {"key": "", "operator": "", "values": ""},
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		keys := map[string]string{}
		for _, field := range s.Fields.List {
			tag, err := strconv.Unquote(field.Tag.Value)
			require.NoError(t, err)
			key, _, _ := strings.Cut(reflect.StructTag(tag).Get("yaml"), ",")
			require.NotEmpty(t, key)
			keys[key] = typeName(field.Type)
		}
		types[spec.Name.Name] = keys
		return true
	})
	require.Contains(t, types["PrometheusCRConfig"], "scrape_interval", "the allocator's source has changed its shape")
	return types
}

// typeName is the last word of a type: LabelSelector of *metav1.LabelSelector.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func unknownKeys(types map[string]map[string]string, keys map[string]string, v any, path string) (unknown []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			name, ok := keys[key]
			if !ok {
				unknown = append(unknown, path+key)
			} else if types[name] != nil {
				unknown = append(unknown, unknownKeys(types, types[name], inner, path+key+".")...)
			}
		}
	case []any:
		for i, inner := range v {
			unknown = append(unknown, unknownKeys(types, keys, inner, fmt.Sprintf("%s%d.", path, i))...)
		}
	}
	return unknown
}
