// Package preflightextension looks at the collector's own configuration, and at the directories of its queues, before the pipelines start:
// what would lose data is told with what to do about it, counted for alerts, and, if wanted, keeps the collector from starting.
package preflightextension

//go:generate mdatagen metadata.yaml
