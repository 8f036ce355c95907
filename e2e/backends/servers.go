package backends

import (
	"fmt"
	"strings"
)

// server is one program of a nested module.
type server struct {
	name   string // of the binary, and what Build is asked for
	dir    string // the nested module, beside this file
	module string // whose version the nested go.mod pins
	pkg    string // the main package
	cold   string // rough build time with an empty Go build cache on 2 cores, told to whoever waits
	node   bool   // only a cluster with a node needs it (e2e/cluster), so Build builds it only by name
	// ldflags sets what the project's own release build would; nil when nobody asks the server for its version.
	ldflags func(version string) string
}

var servers = []server{
	{
		name: "coredns", dir: "coredns", cold: "4 minutes", node: true,
		module: "github.com/coredns/coredns", pkg: "github.com/coredns/coredns",
	},
	{
		name: "etcd", dir: "etcd", cold: "a minute",
		module: "go.etcd.io/etcd/server/v3", pkg: "go.etcd.io/etcd/server/v3",
	},
	{
		name: "jaeger", dir: "jaeger", cold: "2 minutes",
		module: "github.com/jaegertracing/jaeger", pkg: "github.com/jaegertracing/jaeger/cmd/all-in-one",
	},
	{
		name: "kube-apiserver", dir: "kubernetes", cold: "3 minutes", ldflags: kubernetesVersion,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kube-apiserver",
	},
	{
		name: "kube-controller-manager", dir: "kubernetes", cold: "2 minutes", ldflags: kubernetesVersion, node: true,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager",
	},
	{
		name: "kube-proxy", dir: "kubernetes", cold: "a minute", ldflags: kubernetesVersion, node: true,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kube-proxy",
	},
	{
		name: "kube-scheduler", dir: "kubernetes", cold: "a minute", ldflags: kubernetesVersion, node: true,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kube-scheduler",
	},
	{
		name: "kubectl", dir: "kubernetes", cold: "a minute", ldflags: kubernetesVersion,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kubectl",
	},
	{
		name: "kubelet", dir: "kubernetes", cold: "2 minutes", ldflags: kubernetesVersion, node: true,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/kubelet",
	},
	{
		name: "loki", dir: "loki", cold: "6 minutes", ldflags: lokiVersion,
		module: "github.com/grafana/loki/v3", pkg: "github.com/grafana/loki/v3/cmd/loki",
	},
	{
		name: "operator", dir: "operator", cold: "4 minutes",
		module: "github.com/open-telemetry/opentelemetry-operator", pkg: "github.com/open-telemetry/opentelemetry-operator",
	},
	{
		name: "prometheus", dir: "prometheus", cold: "4 minutes",
		module: "github.com/prometheus/prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus",
	},
	{
		name: "targetallocator", dir: "targetallocator", cold: "3 minutes",
		module: "github.com/open-telemetry/opentelemetry-operator",
		pkg:    "github.com/open-telemetry/opentelemetry-operator/cmd/otel-allocator",
	},
}

// Names lists the servers that Build knows.
func Names() []string {
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = s.name
	}
	return names
}

func find(name string) (server, error) {
	for _, s := range servers {
		if s.name == name {
			return s, nil
		}
	}
	return server{}, fmt.Errorf("no server %q; there are: %s", name, strings.Join(Names(), ", "))
}

// kubernetesVersion keeps an API server built outside its repository from calling itself v0.0.0-master+$Format:%H$.
func kubernetesVersion(version string) string {
	part := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	const in = "-X k8s.io/component-base/version."
	return in + "gitVersion=" + version + " " + in + "gitMajor=" + part[0] + " " + in + "gitMinor=" + part[1]
}

// lokiVersion is what /loki/api/v1/status/buildinfo answers and what a user of the API may ask for.
func lokiVersion(version string) string {
	return "-X github.com/grafana/loki/v3/pkg/util/build.Version=" + strings.TrimPrefix(version, "v")
}
