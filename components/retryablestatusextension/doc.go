// Package retryablestatusextension lets exporters wait out answers that say nothing about the data: wrong credentials, a wrong address, a backend with a
// problem of its own.
package retryablestatusextension

//go:generate mdatagen metadata.yaml
