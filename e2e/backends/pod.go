package backends

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// PodSpec says what a running pod looks like to who asks the API server.
type PodSpec struct {
	Namespace   string // made if missing
	Name        string
	Node        string // "node-1" when empty; needs no Node object
	IP          string // no address when empty
	HostIP      string // "127.0.0.1" when empty
	Labels      map[string]string
	Annotations map[string]string
	OwnerRefs   []OwnerRef  // the first one is the controller
	Containers  []Container // one named "app" when empty
}

// Container is one container of a PodSpec and its status.
type Container struct {
	Name         string
	Image        string         // "sluice.test/<name>:1" when empty
	ID           string         // with its runtime, containerd://…; made up when empty
	RestartCount int            // restarts of this container so far
	Ports        map[string]int // containerPort by port name
}

// OwnerRef is an entry of metadata.ownerReferences.
type OwnerRef struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

// Owner reads an object that Apply made, as the owner of others. The kind is what kubectl takes: replicaset,
// deployments.apps …
func (k *Kubernetes) Owner(tb testing.TB, namespace, kind, name string) OwnerRef {
	tb.Helper()
	var object struct {
		APIVersion, Kind string
		Metadata         struct{ Name, UID string }
	}
	must(tb, json.Unmarshal([]byte(k.Kubectl(tb, "", "get", "-n", namespace, kind, name, "-o", "json")), &object))
	return OwnerRef{APIVersion: object.APIVersion, Kind: object.Kind, Name: object.Metadata.Name, UID: object.Metadata.UID}
}

// Pod makes a pod that looks running and ready, as if a kubelet had reported so, and returns its UID.
func (k *Kubernetes) Pod(tb testing.TB, p PodSpec) string {
	tb.Helper()
	if len(p.Containers) == 0 {
		p.Containers = []Container{{Name: "app"}}
	}
	p.OwnerRefs = slices.Clone(p.OwnerRefs)
	for i := range p.OwnerRefs {
		p.OwnerRefs[i].Controller = i == 0
	}
	k.Namespace(tb, p.Namespace)
	path := "/api/v1/namespaces/" + p.Namespace + "/pods"
	created := k.api.json(tb, "POST", path, "application/json", p.object())
	uid := created["metadata"].(map[string]any)["uid"].(string)
	k.api.json(tb, "PATCH", path+"/"+p.Name+"/status", mergePatch, map[string]any{"status": p.status(uid)})
	return uid
}

func (p *PodSpec) object() map[string]any {
	var containers []map[string]any
	for _, c := range p.Containers {
		var ports []map[string]any
		for _, name := range slices.Sorted(maps.Keys(c.Ports)) {
			ports = append(ports, map[string]any{"name": name, "containerPort": c.Ports[name]})
		}
		containers = append(containers, map[string]any{"name": c.Name, "image": c.image(), "ports": ports})
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": p.Name, "namespace": p.Namespace,
			"labels": p.Labels, "annotations": p.Annotations, "ownerReferences": p.OwnerRefs,
		},
		"spec": map[string]any{"nodeName": cmp.Or(p.Node, "node-1"), "containers": containers},
	}
}

func (p *PodSpec) status(uid string) map[string]any {
	now := time.Now().UTC().Format(time.RFC3339)
	var conditions, containers []map[string]any
	for _, t := range []string{"PodScheduled", "Initialized", "ContainersReady", "Ready"} {
		conditions = append(conditions, map[string]any{"type": t, "status": "True", "lastTransitionTime": now})
	}
	for _, c := range p.Containers {
		id := cmp.Or(c.ID, fmt.Sprintf("containerd://%x", sha256.Sum256([]byte(uid+c.Name))))
		containers = append(containers, map[string]any{
			"name": c.Name, "image": c.image(), "imageID": c.image(), "containerID": id,
			"restartCount": c.RestartCount, "ready": true, "started": true,
			"state": map[string]any{"running": map[string]any{"startedAt": now}},
		})
	}
	hostIP := cmp.Or(p.HostIP, "127.0.0.1")
	status := map[string]any{
		"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": containers,
		"hostIP": hostIP, "hostIPs": []map[string]any{{"ip": hostIP}},
	}
	if p.IP != "" {
		status["podIP"], status["podIPs"] = p.IP, []map[string]any{{"ip": p.IP}}
	}
	return status
}

func (c *Container) image() string { return cmp.Or(c.Image, "sluice.test/"+c.Name+":1") }
