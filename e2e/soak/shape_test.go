//go:build e2e

package soak

import (
	"time"

	"github.com/sluice-otel/sluice/e2e/tiers"
)

// shape is how the tiers are configured.
type shape struct {
	name     string
	tier     func(profile string) tiers.Tier
	patience time.Duration
	manifest string // of what the tiers need beside their shipped roles
}

// shipped are the profiles. What the short form overrides is how long an exporter waits between two attempts: half a minute
// after an outage is no part of what is tested, and a good part of the gate's time.
func shipped() shape {
	s := shape{name: "as shipped", patience: 90 * time.Second, tier: func(profile string) tiers.Tier {
		return tiers.Tier{Backends: backendsOf[profile]}
	}}
	if full() {
		return s
	}
	s.patience = 20 * time.Second
	long := s.tier
	s.tier = func(profile string) tiers.Tier {
		tier := long(profile)
		tier.Override = impatient[profile]
		return tier
	}
	return s
}

var backendsOf = map[string][]string{
	"agent":    {"backends/to-gateway"},
	"gateway":  {"backends/lgtm", "backends/to-sampling"},
	"sampling": {"backends/lgtm"},
	"scraper":  {"backends/victoria"},
}

const soon = "{retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}"

var impatient = map[string]string{
	"agent":    "exporters: {otlp_grpc/gateway_logs: " + soon + ", otlp_grpc/gateway_metrics: " + soon + ", otlp_grpc/gateway_traces: " + soon + "}",
	"gateway":  "exporters: {otlp_http/prometheus: " + soon + ", otlp_http/loki: " + soon + ", trace_shards: " + soon + "}",
	"sampling": "exporters: {otlp_http/prometheus: " + soon + ", otlp_grpc/traces: " + soon + "}",
	"scraper":  "exporters: {remote_write: " + soon + "}",
}

// stock is the same binary as the field runs its upstream components: stock/*.yaml.
func stock() shape {
	patience := 15 * time.Second // what is still tried again after that counts as lost in the short form
	if full() {
		patience = 90 * time.Second
	}
	return shape{name: "stock", patience: patience, manifest: mayResolve, tier: func(profile string) tiers.Tier {
		return tiers.Tier{
			KnownCrash: earlySpans,
			Configs:    []string{"e2e/soak/stock/" + profile + ".yaml"},
			Gates:      []string{"-stanza.synchronousLogEmitter"}, // ours switches it on
		}
	}}
}

// mayResolve is what loadbalancing needs and our gateways do not.
const mayResolve = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: stock-gateway, namespace: sluice}
rules: [{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: stock-gateway, namespace: sluice}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: stock-gateway}
subjects: [{kind: ServiceAccount, namespace: sluice, name: sluice-gateway}]
`
