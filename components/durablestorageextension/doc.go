// Package durablestorageextension keeps the queues of exporters and the state of receivers and processors in files: with checksums, with fewer
// writes than file_storage, without losing what was in flight when the process died twice, and with a new file in place of a damaged one.
package durablestorageextension

//go:generate mdatagen metadata.yaml
