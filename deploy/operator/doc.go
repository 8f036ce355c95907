// Package operator has no code: its tests hold the resources in these folders to what configs/ and deploy/kubernetes say.
package operator
