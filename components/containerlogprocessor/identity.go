package containerlogprocessor

import (
	"path/filepath"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/logpath"
)

// identify reads what a path says of its container, as resource attributes.
func (p *containerlog) identify(path string) (logpath.Identity, pcommon.Map) {
	attrs := pcommon.NewMap()
	id, ok := logpath.Parse(path)
	if !ok {
		p.tel.warn("path", "the path is none of a container's log file: its records carry no Kubernetes attributes; "+
			"see filelog's include patterns", path, nil)
		return logpath.Identity{Current: path}, attrs
	}
	put := func(key, value string) {
		if value != "" {
			attrs.PutStr(key, value)
		}
	}
	if id.Docker {
		put("container.runtime.name", line.Docker.String())
		cfg, err := logpath.ReadDockerConfig(filepath.Dir(path))
		if err != nil {
			p.tel.warn("docker_config", "the container's name and image are unknown", path, err)
		}
		name, tag := logpath.SplitImage(cfg.Image)
		put("container.name", cfg.Name)
		put("container.image.name", name)
		if tag != "" {
			attrs.PutEmptySlice("container.image.tags").AppendEmpty().SetStr(tag)
		}
		id.Namespace, id.Pod, id.UID, id.Container, id.Static = cfg.Namespace, cfg.Pod, cfg.UID, cfg.Container, cfg.Static
	}
	put("k8s.namespace.name", id.Namespace)
	put("k8s.pod.name", id.Pod)
	put("k8s.container.name", id.Container)
	put("container.id", id.ContainerID)
	if id.Restart >= 0 {
		attrs.PutInt("k8s.container.restart_count", int64(id.Restart))
	}
	// The API server knows a static pod by another UID: without this one k8sattributes finds it by namespace and name.
	if id.Static {
		attrs.PutBool("containerlog.static_pod", true)
	} else {
		put("k8s.pod.uid", id.UID)
	}
	return id, attrs
}
