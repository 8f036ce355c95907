//go:build e2e

package operator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// Whatever language a pod is in, its SDK is told the same: the node's agent at the port of the protocol, samplers, propagators, UIDs.
func (r *rig) testInstrumentation(t *testing.T) {
	r.Namespace(t, "shop")
	r.apply(t, "instrumentation")
	r.Kubectl(t, replicaSet, "apply", "-f", "-")
	uid := r.Owner(t, "shop", "replicaset", "cart-6d4").UID
	for _, language := range []string{"java", "nodejs", "python", "dotnet", "go"} {
		for name, ratio := range map[string]string{"sluice": "1", "sluice-tenth": "0.1"} {
			t.Run(language+"/"+name, func(t *testing.T) {
				env := r.instrumented(t, language, name, uid)
				for key, want := range map[string]string{
					"OTEL_EXPORTER_OTLP_ENDPOINT": "http://$(OTEL_NODE_IP):4318",
					"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
					"OTEL_TRACES_EXPORTER":        "otlp",
					"OTEL_METRICS_EXPORTER":       "otlp",
					"OTEL_LOGS_EXPORTER":          "none",
					"OTEL_PROPAGATORS":            "tracecontext,baggage",
					"OTEL_TRACES_SAMPLER":         "parentbased_traceidratio",
					"OTEL_TRACES_SAMPLER_ARG":     ratio,
					"OTEL_SERVICE_NAME":           "cart",
				} {
					assert.Equal(t, want, env.value[key], key)
				}
				assert.Contains(t, env.source["OTEL_NODE_IP"], "status.hostIP")
				assert.Less(t, env.order["OTEL_NODE_IP"], env.order["OTEL_EXPORTER_OTLP_ENDPOINT"], "$(OTEL_NODE_IP) is known only after it")
				attributes := strings.Split(env.value["OTEL_RESOURCE_ATTRIBUTES"], ",")
				assert.Contains(t, attributes, "k8s.replicaset.uid="+uid)
				assert.Contains(t, attributes, "k8s.pod.uid=$(OTEL_RESOURCE_ATTRIBUTES_POD_UID)")
				assert.Contains(t, attributes, "service.version=7")
			})
		}
	}
}

const replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: cart-6d4, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: 'sluice.test/cart:1'}]}
`

type env struct {
	value, source map[string]string
	order         map[string]int
}

// instrumented makes a pod with an annotation, and reads the environment of the container that the SDK is in.
func (r *rig) instrumented(t *testing.T, language, instrumentation, owner string) env {
	t.Helper()
	pod := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart-6d4-x2x", "namespace": "shop",
		"labels": {"app": "cart", "app.kubernetes.io/name": "cart", "app.kubernetes.io/version": "7"},
		"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-6d4", "uid": %q, "controller": true}],
		"annotations": {"instrumentation.opentelemetry.io/inject-%s": "sluice/%s", "instrumentation.opentelemetry.io/otel-go-auto-target-exe": "/cart"}},
		"spec": {"containers": [{"name": "cart", "image": "sluice.test/cart:1"}]}}`, owner, language, instrumentation)
	var made object
	proc.Eventually(t, 30*time.Second, func() error { // the operator reads Instrumentations from a cache
		out, _, err := r.TryKubectl(pod, "create", "--dry-run=server", "-o", "json", "-f", "-")
		if err != nil {
			return err
		}
		made = nil
		if err := json.Unmarshal([]byte(out), &made); err != nil {
			return err
		}
		if !strings.Contains(out, "OTEL_EXPORTER_OTLP_ENDPOINT") {
			return fmt.Errorf("not instrumented: %s", out)
		}
		return nil
	}, r.operator.Process)
	containers := at(made, "spec", "containers").([]any)
	last := containers[len(containers)-1] // Go's is a container of its own
	e := env{map[string]string{}, map[string]string{}, map[string]int{}}
	for i, v := range at(last, "env").([]any) {
		name := at(v, "name").(string)
		_, twice := e.order[name]
		require.False(t, twice, "%s is there twice", name)
		e.value[name], _ = at(v, "value").(string)
		e.source[name] = fmt.Sprint(at(v, "valueFrom"))
		e.order[name] = i
	}
	return e
}
