//go:build e2e

// Package kubernetes has no code: its tests hold the manifests here to the profiles in configs/, to each other and to a real API server.
// That pods run from them is shown in e2e/cluster.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// shipped are the overlays, and one that adds every component to one of them.
var shipped = []string{"lgtm", "victoria", "otlp", "components"}

type meta struct {
	Name, Namespace     string
	Labels, Annotations map[string]string
}

type object struct {
	Kind     string
	Metadata meta
	Spec     struct {
		Replicas    *int
		ServiceName string `yaml:"serviceName"`
		Selector    any
		PodSelector any `yaml:"podSelector"`
		Template    podTemplate
		Ports       []struct {
			TargetPort string `yaml:"targetPort"`
		}
		VolumeClaimTemplates []struct {
			Metadata meta
			Spec     struct {
				Resources struct{ Requests map[string]string }
			}
		} `yaml:"volumeClaimTemplates"`
	}
	Data map[string]string

	node yaml.Node // all of it
}

type podTemplate struct {
	Metadata meta
	Spec     podSpec
}

type podSpec struct {
	ServiceAccountName            string            `yaml:"serviceAccountName"`
	NodeSelector                  map[string]string `yaml:"nodeSelector"`
	TerminationGracePeriodSeconds int               `yaml:"terminationGracePeriodSeconds"`
	TopologySpreadConstraints     []struct {
		LabelSelector any `yaml:"labelSelector"`
	} `yaml:"topologySpreadConstraints"`
	Containers []container
	Volumes    []volume
}

type container struct {
	Name, Image string
	Args        []string
	Env         []variable
	EnvFrom     []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
		SecretRef    struct{ Name string } `yaml:"secretRef"`
	} `yaml:"envFrom"`
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
		HostPort      int `yaml:"hostPort"`
	}
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop, Add []string }
	} `yaml:"securityContext"`
	VolumeMounts []mount `yaml:"volumeMounts"`
}

type mount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

type variable struct {
	Name, Value string
	ValueFrom   struct {
		ConfigMapKeyRef struct{ Name, Key string } `yaml:"configMapKeyRef"`
		FieldRef        struct {
			FieldPath string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
	} `yaml:"valueFrom"`
}

type volume struct {
	Name      string
	ConfigMap source `yaml:"configMap"`
	Projected struct {
		Sources []struct {
			ConfigMap source `yaml:"configMap"`
			Secret    source
		}
	}
	HostPath struct{ Path string } `yaml:"hostPath"`
}

type source struct {
	Name  string
	Items []struct{ Key, Path string }
}

// rendered is what `kubectl apply -k` would send.
type rendered []object

// texts are what is shipped, rendered once: kustomize takes a while.
var texts = map[string]string{}

// render runs kustomize on a shipped variant, or on a folder.
func render(t *testing.T, dir string) rendered {
	t.Helper()
	if !slices.Contains(shipped, dir) {
		return decode(t, kustomize(t, dir))
	}
	if _, ok := texts[dir]; !ok {
		path := filepath.Join("overlays", dir)
		if dir == "components" {
			path = overlay(t, `
resources: [HERE/overlays/lgtm]
components: [HERE/components/per-node, HERE/components/docker-logs]`)
		}
		texts[dir] = kustomize(t, path)
	}
	return decode(t, texts[dir])
}

// overlay writes a kustomization as a user would, outside of this folder, which it calls HERE.
func overlay(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	here, err := os.Getwd()
	require.NoError(t, err)
	here, err = filepath.Rel(dir, here) // kustomize takes no absolute path
	require.NoError(t, err)
	write(t, filepath.Join(dir, "kustomization.yaml"), strings.ReplaceAll(text, "HERE", here))
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func kustomize(t *testing.T, dir string) string {
	t.Helper()
	kubectl, err := backends.Binary("kubectl")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), kubectl, "kustomize", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "kubectl kustomize %s: %s", dir, &stderr)
	require.Empty(t, stderr.String(), "kustomize warns")
	return stdout.String()
}

func decode(t *testing.T, text string) (all rendered) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o object
		err := d.Decode(&o.node)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, all)
			return all
		}
		require.NoError(t, err)
		require.NoError(t, o.node.Decode(&o))
		all = append(all, o)
	}
}

// each runs a test on every shipped variant.
func each(t *testing.T, f func(t *testing.T, all rendered)) {
	t.Helper()
	for _, name := range shipped {
		t.Run(name, func(t *testing.T) { f(t, render(t, name)) })
	}
}

// get finds the only object of a kind and name; a generated name is given without its hash.
func (r rendered) get(t *testing.T, kind, namespace, name string) object {
	t.Helper()
	var found []object
	for _, o := range r {
		if o.Kind == kind && o.Metadata.Namespace == namespace && (o.Metadata.Name == name || stem(o.Metadata.Name) == name) {
			found = append(found, o)
		}
	}
	require.Len(t, found, 1, "%s %s/%s", kind, namespace, name)
	return found[0]
}

func (r rendered) kind(kind string) (found []object) {
	for _, o := range r {
		if o.Kind == kind {
			found = append(found, o)
		}
	}
	return found
}

// workloads are the objects that make pods.
func (r rendered) workloads() []object {
	return slices.Concat(r.kind("DaemonSet"), r.kind("StatefulSet"), r.kind("Deployment"))
}

// stem is a generated name without its hash.
func stem(name string) string {
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		return name[:i]
	}
	return name
}

func (o object) component() string { return o.Metadata.Labels["app.kubernetes.io/component"] }

// at walks nested maps and lists; nil when a step is missing.
func (o object) at(t *testing.T, path ...any) any {
	t.Helper()
	var v any
	require.NoError(t, o.node.Decode(&v))
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}
