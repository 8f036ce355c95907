//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// pod is what the API server says of one.
type pod struct {
	Metadata struct{ Name, Namespace, UID, CreationTimestamp, DeletionTimestamp string }
	Spec     struct{ NodeName string }
	Status   struct {
		ContainerStatuses []struct {
			ContainerID  string
			RestartCount int
		}
	}
}

func (s *Sluice) pods(t *testing.T, namespace, app string) []pod {
	t.Helper()
	var list struct{ Items []pod }
	s.Get(t, &list, "pods", "-n", namespace, "-l", "app="+app)
	return list.Items
}

// container is the id of a pod's only one, as the runtime has it.
func (p pod) container() string {
	if len(p.Status.ContainerStatuses) == 0 {
		return ""
	}
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	return id
}

// workloads are one of each kind that a label is made of. What a CronJob's controller makes every minute is made by hand, under a name as it
// gives it.
func (s *Sluice) workloads(t *testing.T, namespace string) {
	t.Helper()
	s.LoadProgram(t, DemoImage, filepath.Join(s.dir, "bin", "demo"))
	o := DemoOptions{
		LinesPerSecond: 2,
		Labels:         map[string]string{"app.kubernetes.io/part-of": "store", "app.kubernetes.io/component": "front"},
		Annotations:    map[string]string{"sluice.io/owner": "web"},
	}
	spec := func(name string) object { return o.deployment(namespace, name)["spec"].(object) }
	stateful, daemon := spec("orders"), spec("probe")
	delete(daemon, "replicas")
	stateful["serviceName"] = "orders"
	template := spec("report")["template"].(object)
	template["spec"].(object)["restartPolicy"] = "Never"
	var list []object
	for _, w := range []struct {
		api, kind, name string
		spec            object
	}{
		{"apps/v1", "Deployment", "shop", spec("shop")},
		{"apps/v1", "StatefulSet", "orders", stateful},
		{"apps/v1", "DaemonSet", "probe", daemon},
		{"batch/v1", "CronJob", "report", object{"schedule": "0 0 1 1 *", "jobTemplate": object{"spec": object{"template": template}}}},
	} {
		list = append(list, object{"apiVersion": w.api, "kind": w.kind, "metadata": object{"name": w.name, "namespace": namespace}, "spec": w.spec})
	}
	manifests, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": list})
	require.NoError(t, err)
	s.Apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {environment: qa, team: shop}, annotations: {sluice.io/owner: everybody}}}`, namespace))
	s.Apply(t, string(manifests))
	s.Kubectl(t, "-n", namespace, "create", "job", "report-29540730", "--from=cronjob/report")
	for _, w := range []string{"deployment/shop", "statefulset/orders", "daemonset/probe"} {
		s.WaitRollout(t, namespace, w, time.Minute)
	}
	s.WaitFor(t, namespace, "job/report-29540730", "jsonpath={.status.ready}=1", time.Minute)
}

// The stream of each kind of workload has the labels that configs/backends/lgtm.yaml lists, those that it has a value for and no others; the
// rest of what the API server says of the pod is structured metadata.
func TestLinesHaveTheirLabels(t *testing.T) {
	s := StartSluice(t)
	s.Namespace(t, "workloads")
	start := time.Now()
	s.workloads(t, "workloads")
	var wanted []map[string]string
	seen := map[string]bool{}
	for app, workload := range map[string]map[string]string{
		"shop":   {"k8s_deployment_name": "shop"},
		"orders": {"k8s_statefulset_name": "orders"},
		"probe":  {"k8s_daemonset_name": "probe"},
		"report": {"k8s_cronjob_name": "report"},
	} {
		want := map[string]string{
			"service_name": app, "k8s_cluster_name": "default", "k8s_namespace_name": "workloads", "k8s_container_name": "demo",
			"service_namespace": "workloads", "deployment_environment_name": "qa",
		}
		maps.Copy(want, workload)
		wanted = append(wanted, want)
		for label := range want {
			seen[label] = true
		}
		assertMetadata(t, s.pods(t, "workloads", app)[0], s.knownLine(t, app, start))
	}
	assert.ElementsMatch(t, wanted, s.Loki.Series(t, `{k8s_namespace_name="workloads", service_name!="kubernetes-events"}`), "not one line is in another stream")
	assert.ElementsMatch(t, append(declaredLabels(t), "service_name"), slices.Collect(maps.Keys(seen)), "every label of the file has been seen")
}

// knownLine is a line of an application in the namespace workloads, from when the agent knew all of its pod: a container's id is known only some time
// after its first line.
func (s *Sluice) knownLine(t *testing.T, app string, from time.Time) (line backends.LogLine) {
	t.Helper()
	proc.Eventually(t, 30*time.Second, func() error {
		lines := s.Loki.AllLines(t, `{k8s_namespace_name="workloads", service_name="`+app+`"} | container_id != ""`, from)
		if len(lines) == 0 {
			return fmt.Errorf("no line of %s has come with its container's id", app)
		}
		line = lines[0]
		return nil
	})
	return line
}

func assertMetadata(t *testing.T, p pod, line backends.LogLine) {
	t.Helper()
	want := map[string]string{
		"k8s_pod_name":                              p.Metadata.Name,
		"k8s_pod_uid":                               p.Metadata.UID,
		"k8s_pod_start_time":                        p.Metadata.CreationTimestamp,
		"k8s_node_name":                             p.Spec.NodeName,
		"k8s_container_restart_count":               "0",
		"k8s_pod_label_app_kubernetes_io_part_of":   "store",
		"k8s_pod_label_app_kubernetes_io_component": "front",
		"k8s_pod_annotation_sluice_io_owner":        "web",
		"k8s_namespace_label_team":                  "shop",
		"k8s_namespace_annotation_sluice_io_owner":  "everybody",
		"container_id":                              p.container(),
		"container_image_name":                      "sluice.test/demo",
		"container_image_tag":                       "1",
		"service_version":                           "1",
		"service_instance_id":                       p.Metadata.Namespace + "." + p.Metadata.Name + ".demo",
		"log_iostream":                              "stdout",
	}
	for name, value := range want {
		assert.Equal(t, value, line.Metadata[name], "%s of %s", name, p.Metadata.Name)
	}
	assert.WithinDuration(t, time.Now(), line.Time, 2*time.Minute)
}

// declaredLabels are those of configs/backends/lgtm.yaml, as Loki spells them.
func declaredLabels(t *testing.T) (labels []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "configs", "backends", "lgtm.yaml"))
	require.NoError(t, err)
	var config struct {
		Processors struct {
			Hint struct{ Labels []string } `yaml:"loki_hint"`
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	for _, l := range config.Processors.Hint.Labels {
		labels = append(labels, strings.ReplaceAll(strings.TrimPrefix(l, "resource."), ".", "_"))
	}
	require.NotEmpty(t, labels)
	return labels
}
