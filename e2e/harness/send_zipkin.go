package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// zipkinSpan is a span of Zipkin's API v2.
type zipkinSpan struct {
	TraceID       string            `json:"traceId"`
	ID            string            `json:"id"`
	ParentID      string            `json:"parentId,omitempty"`
	Name          string            `json:"name"`
	Kind          string            `json:"kind,omitempty"` // absent for internal spans
	Timestamp     int64             `json:"timestamp"`      // microseconds, as Duration
	Duration      int64             `json:"duration"`
	LocalEndpoint map[string]string `json:"localEndpoint"`
	Tags          map[string]string `json:"tags,omitempty"`
}

// SendZipkinJSON sends spans as a Zipkin reporter would: JSON, POST /api/v2/spans. Zipkin has no resources, so that
// attributes of the resource become tags of the span.
func SendZipkinJSON(tb testing.TB, endpoint string, spans ...Span) error {
	tb.Helper()
	list := make([]zipkinSpan, 0, len(spans))
	for _, s := range spans {
		s = s.withDefaults()
		z := zipkinSpan{
			TraceID:       s.TraceID.String(),
			ID:            s.SpanID.String(),
			ParentID:      s.Parent.String(),
			Name:          s.Name,
			Timestamp:     s.Start.UnixMicro(),
			Duration:      s.Duration.Microseconds(),
			LocalEndpoint: map[string]string{"serviceName": s.Service},
			Tags:          map[string]string{},
		}
		if s.Kind != ptrace.SpanKindInternal {
			z.Kind = strings.ToUpper(s.Kind.String())
		}
		attrs := maps.Clone(s.ResourceAttrs)
		if attrs == nil {
			attrs = map[string]any{}
		}
		maps.Copy(attrs, s.Attrs)
		for k, v := range attrs {
			z.Tags[k] = fmt.Sprint(v)
		}
		if s.Error {
			z.Tags["error"] = "true"
		}
		list = append(list, z)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}}
	_, err = post(ctx, direct, "http://"+endpoint+"/api/v2/spans", header, body)
	return err
}
