// Package durablestorageextension keeps the queues of exporters and the state of receivers and processors in files: with checksums, with fewer
// writes than file_storage, without losing what was in flight when the process died twice, and with a volume that gets room again after it was full.
package durablestorageextension

//go:generate mdatagen metadata.yaml
