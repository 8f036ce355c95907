package logpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxDockerConfig = 4 << 20

// DockerConfig is what Docker knows of a container. The last five are set when Kubernetes started it.
type DockerConfig struct {
	Name, Image                    string // Image as it was asked for; an ID when kubelet did
	Namespace, Pod, UID, Container string
	Static                         bool // see Identity
}

// dockerFile lists the keys to decode. The others, the environment with its secrets among them, are skipped by the decoder.
type dockerFile struct {
	Name   string
	Config struct {
		Image string
		// Not a struct: that would take the names in any case, and an image may carry labels that differ in case only.
		Labels map[string]string
	}
}

// ReadDockerConfig reads config.v2.json in dir, the directory that also holds the container's log.
func ReadDockerConfig(dir string) (DockerConfig, error) {
	path := filepath.Join(dir, "config.v2.json")
	raw, err := readDockerFile(path)
	defer clear(raw) // it holds secrets, and the garbage collector may leave it around for long
	if err != nil {
		return DockerConfig{}, err
	}
	var file dockerFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return DockerConfig{}, fmt.Errorf("decode %s: %w: if it stays so, recreate the container, Docker cannot load it either", path, err)
	}
	if file.Name == "" {
		return DockerConfig{}, fmt.Errorf("%s has no Name: check that the directory is one of Docker's containers", path)
	}
	labels := file.Config.Labels
	uid := labels["io.kubernetes.pod.uid"]
	return DockerConfig{
		Name:      strings.TrimPrefix(file.Name, "/"),
		Image:     file.Config.Image,
		Namespace: labels["io.kubernetes.pod.namespace"],
		Pod:       labels["io.kubernetes.pod.name"],
		UID:       uid,
		Container: labels["io.kubernetes.container.name"],
		Static:    isStatic(uid),
	}, nil
}

// readDockerFile reads into one buffer of the right size, so that no outgrown copies stay behind.
func readDockerFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, adviceFor(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, adviceFor(err))
	}
	if info.Size() > maxDockerConfig {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read: shorten the container's environment or labels",
			path, info.Size(), maxDockerConfig)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(f, raw); err != nil {
		return raw, fmt.Errorf("read %s: %w: %s", path, err, adviceFor(err))
	}
	return raw, nil
}

func adviceFor(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "mount all of Docker's containers directory, not the logs alone; a removed container needs nothing"
	case errors.Is(err, fs.ErrPermission):
		return "Docker lets only root read it: run as root or with CAP_DAC_READ_SEARCH"
	default:
		return "check the disk and the mount of Docker's containers directory"
	}
}

// SplitImage splits an image reference. A registry with its port stays in the name, a digest is dropped, and what is only an ID
// has neither name nor tag.
func SplitImage(image string) (name, tag string) {
	name, _, _ = strings.Cut(image, "@")
	if hash := strings.TrimPrefix(name, "sha256:"); len(hash) == idLen && isHex(hash) {
		return "", ""
	}
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		return name[:colon], name[colon+1:]
	}
	return name, ""
}
