package config

import (
	"strings"

	"github.com/prometheus/otlptranslator"
)

// The label that every stream has, and the attribute that it comes from.
const (
	ServiceLabel = "service_name"
	serviceKey   = "service.name"
	// TrueService has the value of service.name when that is not the label.
	TrueService = "resource_service_name"
)

// DefaultIndex are the resource attributes that Loki makes labels of by itself: distributor.otlp_config.default_resource_attributes_as_index_labels
// of Loki 3.7. An end-to-end test holds it against a running Loki.
func DefaultIndex() []string {
	return []string{
		"service.name", "service.namespace", "service.instance.id", "deployment.environment", "deployment.environment.name", "cloud.region",
		"cloud.availability_zone", "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name",
		"k8s.replicaset.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
	}
}

// HintKeys are the attributes that older exporters read.
func HintKeys() []string {
	return []string{HintResourceLabels, HintAttributeLabels, HintTenant, HintFormat}
}

// The hints.
const (
	HintResourceLabels  = "loki.resource.labels"
	HintAttributeLabels = "loki.attribute.labels"
	HintTenant          = "loki.tenant"
	HintFormat          = "loki.format"
)

// Name is what an attribute is called in LogQL. Loki uses the same library; a key that it cannot name makes it refuse the whole request.
func Name(key string) (string, error) {
	return (&otlptranslator.LabelNamer{}).Build(key)
}

// ReservedNames are what LogQL keeps for itself. Loki stores an attribute of that name, and from then on answers every metric query over its stream with an
// error (__error__), or does not show it (__error_details__).
func ReservedNames() []string {
	return []string{"__error__", "__error_details__"}
}

const tenantRule = "at most 150 bytes: letters, digits and !-_.*'(), but not . or .."

// ValidTenant says whether Loki takes a tenant.
func ValidTenant(id string) bool {
	if id == "" || len(id) > 150 || id == "." || id == ".." {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && !strings.ContainsRune("!-_.*'()", rune(c)) {
			return false
		}
	}
	return true
}
