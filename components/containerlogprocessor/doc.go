// Package containerlogprocessor turns the raw lines that the filelog receiver reads from container log files into log records:
// it knows the files' paths, the formats of containerd, CRI-O and Docker, and joins the pieces that runtimes cut long lines into.
package containerlogprocessor

//go:generate mdatagen metadata.yaml
