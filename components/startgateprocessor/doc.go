// Package startgateprocessor refuses data, retryably, until everything behind it has started.
package startgateprocessor

//go:generate mdatagen metadata.yaml
