// Package durabletailsamplingprocessor is upstream's tail_sampling with a journal: spans that wait for a decision are on disk, too.
package durabletailsamplingprocessor

//go:generate mdatagen metadata.yaml
