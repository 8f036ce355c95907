//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The jobs for nodes and for cAdvisor each ask every kubelet itself for their own page, as the shipped ServiceAccount, and
// check its certificate unless told not to.
func TestScraperNodes(t *testing.T) {
	k := tiers.StartKubernetes(t)
	certified := k.Certificate(t, "node-1", netns.Addr(t, 2))
	kubelets := map[string]*kubelet{
		"node-1": startKubelet(t, k, "node-1", netns.Addr(t, 2), &certified),
		"node-2": startKubelet(t, k, "node-2", netns.Addr(t, 3), selfSigned()),
	}
	metrics := map[string]string{"kubernetes-nodes": "kubelet_running_pods", "kubernetes-nodes-cadvisor": "container_cpu_usage_seconds_total"}

	for _, c := range []struct {
		name string
		env  map[string]string
		up   map[string]float64 // by node
	}{
		{name: "self-signed is refused", up: map[string]float64{"node-1": 1, "node-2": 0}},
		{name: "self-signed is accepted where allowed", env: map[string]string{"KUBELET_INSECURE_TLS": "true"}, up: map[string]float64{"node-1": 1, "node-2": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startScraper(t, k, c.env)
			points := s.sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
				for job := range metrics {
					if up := ups(points, job); !assert.ObjectsAreEqual(c.up, up) {
						return fmt.Errorf("%s: up is %v", job, up)
					}
				}
				return nil
			}, s.Proc)
			for job, path := range map[string]string{"kubernetes-nodes": "/metrics", "kubernetes-nodes-cadvisor": "/metrics/cadvisor"} {
				want := map[string]string{}
				for node, kubelet := range kubelets {
					want[node] = "https://" + kubelet.addr + path + " every 1s"
				}
				assert.NoError(t, same(s.targets(t).by(job, "node"), want))
				seen := map[any]bool{}
				for _, p := range points {
					if p.Name == metrics[job] {
						assert.Equal(t, job, p.Resource["service.name"], p.Name)
						assert.Equal(t, p.Attrs["node"], p.Resource["service.instance.id"])
						seen[p.Attrs["node"]] = true
					}
				}
				for node, up := range c.up {
					assert.Equal(t, up == 1, seen[node], "%s of %s", metrics[job], node)
				}
			}
			for name, kubelet := range kubelets {
				var want []string
				if c.up[name] == 1 {
					want = []string{"/metrics 200", "/metrics/cadvisor 200"}
				}
				assert.Equal(t, want, kubelet.answered(), name)
			}
		})
	}
	assert.Empty(t, k.AuditLog.Forbidden(t), "calls that the shipped role does not allow")
}

// kubelet stands in for the real one, which comes with the cluster tests: it serves the two pages over TLS to who may read
// them, and keeps what it answered.
type kubelet struct {
	node, addr string
	review     string // where the API server says what the bearer of a token may do
	client     *http.Client

	mu      sync.Mutex
	answers map[string]bool // "path status"
}

// startKubelet starts one, and makes its Node.
func startKubelet(t *testing.T, k *backends.Kubernetes, node, ip string, cert *tls.Certificate) *kubelet {
	t.Helper()
	ca, err := os.ReadFile(k.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	f := &kubelet{
		node: node, answers: map[string]bool{},
		review: k.URL + "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		client: &http.Client{Transport: transport, Timeout: 5 * time.Second},
	}
	f.addr = serve(t, ip+":0", cert, f)
	_, port, _ := strings.Cut(f.addr, ":")
	makeNode(t, k, node, ip, port)
	return f
}

func (f *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := f.authorize(r)
	page, ok := map[string]string{
		"/metrics":          "# TYPE kubelet_running_pods gauge\nkubelet_running_pods 3\n",
		"/metrics/cadvisor": "# TYPE container_cpu_usage_seconds_total counter\ncontainer_cpu_usage_seconds_total{container=\"app\",pod=\"cart\"} 5\n",
	}[r.URL.Path]
	if status == http.StatusOK && !ok {
		status = http.StatusNotFound
	}
	f.mu.Lock()
	f.answers[fmt.Sprint(r.URL.Path, " ", status)] = true
	f.mu.Unlock()
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = w.Write([]byte(page))
	}
}

// authorize asks the API server, as a kubelet does, whose token this is and whether it allows reading a node's metrics.
func (f *kubelet) authorize(r *http.Request) (status int) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return http.StatusUnauthorized
	}
	type object = map[string]any
	body, err := json.Marshal(object{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": object{
		"resourceAttributes": object{"verb": "get", "resource": "nodes", "subresource": "metrics", "name": f.node},
	}})
	if err != nil {
		return http.StatusInternalServerError
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, f.review, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	resp, err := f.client.Do(req)
	if err != nil {
		return http.StatusBadGateway
	}
	defer resp.Body.Close()
	var answer struct{ Status struct{ Allowed bool } }
	switch err := json.NewDecoder(resp.Body).Decode(&answer); {
	case resp.StatusCode == http.StatusUnauthorized:
		return http.StatusUnauthorized
	case err != nil:
		return http.StatusBadGateway
	case !answer.Status.Allowed:
		return http.StatusForbidden
	}
	return http.StatusOK
}

// answered lists what was answered since the last call.
func (f *kubelet) answered() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	answers := slices.Sorted(maps.Keys(f.answers))
	clear(f.answers)
	return answers
}

// selfSigned is a certificate that no CA of the cluster knows.
func selfSigned() *tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return &server.TLS.Certificates[0]
}

func makeNode(t *testing.T, k *backends.Kubernetes, name, ip, kubeletPort string) {
	t.Helper()
	k.Kubectl(t, `
apiVersion: v1
kind: Node
metadata: {name: `+name+`}
status:
  addresses: [{type: InternalIP, address: `+ip+`}, {type: Hostname, address: `+name+`}]
  daemonEndpoints: {kubeletEndpoint: {Port: `+kubeletPort+`}}
`, "create", "-f", "-")
}
