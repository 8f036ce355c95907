package harness

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	model "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
)

// SendJaegerGRPC sends spans as a Jaeger agent would: PostSpans over gRPC, one call for each resource.
func SendJaegerGRPC(tb testing.TB, endpoint string, spans ...Span) error {
	tb.Helper()
	conn, err := grpcConn(endpoint, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	client := api_v2.NewCollectorServiceClient(conn)
	for _, batch := range jaegerBatches(spans) {
		// Jaeger's messages are gogo's, with field types that gRPC's own codec cannot handle.
		_, err := client.PostSpans(ctx, &api_v2.PostSpansRequest{Batch: batch}, grpc.ForceCodec(gogoCodec{}))
		if err != nil {
			return err
		}
	}
	return nil
}

func jaegerBatches(spans []Span) []model.Batch {
	index := map[string]int{}
	var batches []model.Batch
	for _, s := range spans {
		s = s.withDefaults()
		key := resourceKey(s.Service, s.ResourceAttrs)
		i, ok := index[key]
		if !ok {
			i = len(batches)
			index[key] = i
			batches = append(batches, model.Batch{Process: model.NewProcess(s.Service, jaegerTags(s.ResourceAttrs))})
		}
		span := &model.Span{
			TraceID:       jaegerTraceID(s.TraceID),
			SpanID:        jaegerSpanID(s.SpanID),
			OperationName: s.Name,
			StartTime:     s.Start,
			Duration:      s.Duration,
			Tags:          append(jaegerTags(s.Attrs), model.String("span.kind", strings.ToLower(s.Kind.String()))),
		}
		if s.Kind == ptrace.SpanKindInternal {
			span.Tags = jaegerTags(s.Attrs) // Jaeger's clients say nothing then
		}
		if !s.Parent.IsEmpty() {
			span.References = []model.SpanRef{{TraceID: span.TraceID, SpanID: jaegerSpanID(s.Parent)}}
		}
		if s.Error {
			span.Tags = append(span.Tags, model.Bool("error", true))
		}
		batches[i].Spans = append(batches[i].Spans, span)
	}
	return batches
}

func jaegerTraceID(id pcommon.TraceID) model.TraceID {
	return model.NewTraceID(binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]))
}

func jaegerSpanID(id pcommon.SpanID) model.SpanID {
	return model.NewSpanID(binary.BigEndian.Uint64(id[:]))
}

func jaegerTags(attrs map[string]any) []model.KeyValue {
	tags := make([]model.KeyValue, 0, len(attrs))
	for k, v := range attrs {
		switch v := v.(type) {
		case bool:
			tags = append(tags, model.Bool(k, v))
		case int:
			tags = append(tags, model.Int64(k, int64(v)))
		case int64:
			tags = append(tags, model.Int64(k, v))
		case float64:
			tags = append(tags, model.Float64(k, v))
		default:
			tags = append(tags, model.String(k, fmt.Sprint(v)))
		}
	}
	slices.SortFunc(tags, func(a, b model.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	return tags
}

// gogoCodec leaves messages to their generated code.
type gogoCodec struct{}

func (gogoCodec) Name() string { return "proto" }

func (gogoCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return nil, fmt.Errorf("%T is not a gogo message", v)
	}
	return m.Marshal()
}

func (gogoCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(interface{ Unmarshal([]byte) error })
	if !ok {
		return fmt.Errorf("%T is not a gogo message", v)
	}
	return m.Unmarshal(data)
}
