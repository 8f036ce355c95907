// Package remotewriteexporter sends metrics to Prometheus remote write, 1.0 or 2.0, from a queue that survives outages and restarts.
package remotewriteexporter

//go:generate mdatagen metadata.yaml
