// Package traceshardsexporter sends all spans of a trace to the same of a fixed number of receivers, each behind a queue of its own.
package traceshardsexporter

//go:generate mdatagen metadata.yaml
