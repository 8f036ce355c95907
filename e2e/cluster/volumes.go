package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
)

const (
	volumeDriver = "sluice.test/local"
	volumeDir    = "/var/lib/volumes"
)

// provision makes a volume for every claim of the class standard, for as long as the cluster runs. It stands for a provisioner of local
// volumes, such as kind and k3s bring along: a folder on the node's disk for each claim, removed with the claim, its size not enforced.
func provision(k *backends.Kubernetes) {
	var last string
	for ; ; time.Sleep(300 * time.Millisecond) {
		err := errors.Join(provideVolumes(k), removeVolumes(k))
		if err != nil && err.Error() != last {
			last = err.Error()
			fmt.Fprintln(os.Stderr, "cluster: volumes:", err)
		}
	}
}

type meta struct {
	Name, Namespace, UID string
	Annotations          map[string]string
}

func provideVolumes(k *backends.Kubernetes) error {
	var claims struct {
		Items []struct {
			Metadata meta
			Spec     struct {
				VolumeName  string
				AccessModes []string
				VolumeMode  string
				Resources   struct{ Requests map[string]string }
			}
		}
	}
	if err := get(k, "/api/v1/persistentvolumeclaims", &claims); err != nil {
		return err
	}
	var errs []error
	for _, claim := range claims.Items {
		// The controller that binds volumes to claims asks for one so.
		if claim.Spec.VolumeName != "" || claim.Metadata.Annotations["volume.kubernetes.io/storage-provisioner"] != volumeDriver {
			continue
		}
		name := "pvc-" + claim.Metadata.UID
		dir := filepath.Join(volumeDir, name)
		if err := os.Mkdir(dir, 0o755); errors.Is(err, os.ErrExist) {
			continue // made, and about to be bound
		} else if err != nil {
			return err
		}
		volume, err := json.Marshal(object{
			"apiVersion": "v1", "kind": "PersistentVolume",
			"metadata": object{"name": name, "annotations": object{"pv.kubernetes.io/provisioned-by": volumeDriver}},
			"spec": object{
				"capacity": claim.Spec.Resources.Requests, "accessModes": claim.Spec.AccessModes, "volumeMode": claim.Spec.VolumeMode,
				"storageClassName": "standard", "persistentVolumeReclaimPolicy": "Delete",
				"claimRef": object{
					"apiVersion": "v1", "kind": "PersistentVolumeClaim",
					"namespace": claim.Metadata.Namespace, "name": claim.Metadata.Name, "uid": claim.Metadata.UID,
				},
				// Not hostPath: a pod's fsGroup has no effect there.
				"local": object{"path": dir},
				"nodeAffinity": object{"required": object{"nodeSelectorTerms": []object{{
					"matchExpressions": []object{{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{NodeName}}},
				}}}},
			},
		})
		if err == nil {
			_, err = k.Do("POST", "/api/v1/persistentvolumes", "application/json", volume)
		}
		if err != nil {
			errs = append(errs, err, os.Remove(dir)) // and once more
		}
	}
	return errors.Join(errs...)
}

func removeVolumes(k *backends.Kubernetes) error {
	var volumes struct {
		Items []struct {
			Metadata meta
			Spec     struct{ PersistentVolumeReclaimPolicy string }
			Status   struct{ Phase string }
		}
	}
	if err := get(k, "/api/v1/persistentvolumes", &volumes); err != nil {
		return err
	}
	var errs []error
	for _, v := range volumes.Items {
		if v.Status.Phase != "Released" || v.Spec.PersistentVolumeReclaimPolicy != "Delete" ||
			v.Metadata.Annotations["pv.kubernetes.io/provisioned-by"] != volumeDriver {
			continue
		}
		_, err := k.Do("DELETE", "/api/v1/persistentvolumes/"+v.Metadata.Name, "", nil)
		errs = append(errs, err, os.RemoveAll(filepath.Join(volumeDir, v.Metadata.Name)))
	}
	return errors.Join(errs...)
}

func get(k *backends.Kubernetes, path string, into any) error {
	body, err := k.Do("GET", path, "", nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
