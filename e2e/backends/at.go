package backends

import (
	"net/http"
	"time"
)

// PrometheusAt asks a server that somebody else runs, as in a pod.
func PrometheusAt(url string) *Prometheus {
	return &Prometheus{URL: url, http: http.Client{Timeout: 30 * time.Second}}
}

// LokiAt asks a server that somebody else runs.
func LokiAt(url string) *Loki {
	return &Loki{URL: url, http: http.Client{Timeout: 30 * time.Second}}
}

// JaegerAt asks a server that somebody else runs: for spans, and for its own metrics.
func JaegerAt(url, admin string) *Jaeger {
	return &Jaeger{URL: url, admin: admin, http: http.Client{Timeout: time.Minute}}
}
