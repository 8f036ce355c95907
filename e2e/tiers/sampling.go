package tiers

import (
	"fmt"
	"strings"
)

// SamplingEndpoints is the sampling tier's Service, and what the controller of EndpointSlices would write for it when its replicas have these
// addresses.
func SamplingEndpoints(addresses []string) string {
	var b strings.Builder
	b.WriteString(`apiVersion: v1
kind: Service
metadata: {name: sluice-sampling, namespace: sluice}
spec: {clusterIP: None, ports: [{name: otlp-grpc, port: 4317}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sluice-sampling-1, namespace: sluice, labels: {kubernetes.io/service-name: sluice-sampling}}
addressType: IPv4
ports: [{name: otlp-grpc, port: 4317}]
endpoints:
`)
	for i, address := range addresses {
		fmt.Fprintf(&b, "- {addresses: [%s], conditions: {ready: true}, hostname: sluice-sampling-%d}\n", address, i)
	}
	return b.String()
}
