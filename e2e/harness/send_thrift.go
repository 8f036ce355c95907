package harness

import (
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"testing"
	"time"

	model "github.com/jaegertracing/jaeger-idl/model/v1"
)

// SendJaegerThriftHTTP sends spans as an old Jaeger client would: a Batch in Thrift's binary protocol, POST /api/traces,
// one request for each resource.
func SendJaegerThriftHTTP(tb testing.TB, endpoint string, spans ...Span) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	header := http.Header{"Content-Type": {"application/vnd.apache.thrift.binary"}}
	for _, batch := range jaegerBatches(spans) {
		if _, err := post(ctx, direct, "http://"+endpoint+"/api/traces", header, thriftBatch(batch)); err != nil {
			return err
		}
	}
	return nil
}

// thriftWriter writes Thrift's binary protocol. The Thrift library would be a dependency for these few lines.
type thriftWriter struct{ b []byte }

const (
	thriftBool   = 2
	thriftDouble = 4
	thriftI32    = 8
	thriftI64    = 10
	thriftString = 11
	thriftStruct = 12
	thriftList   = 15
)

func (w *thriftWriter) field(kind byte, id uint16) {
	w.b = binary.BigEndian.AppendUint16(append(w.b, kind), id)
}

func (w *thriftWriter) i32(id uint16, v int) {
	w.field(thriftI32, id)
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(v))
}

func (w *thriftWriter) i64(id uint16, v uint64) {
	w.field(thriftI64, id)
	w.b = binary.BigEndian.AppendUint64(w.b, v)
}

func (w *thriftWriter) str(id uint16, v string) {
	w.field(thriftString, id)
	w.b = append(binary.BigEndian.AppendUint32(w.b, uint32(len(v))), v...)
}

func (w *thriftWriter) structs(id uint16, n int) {
	w.field(thriftList, id)
	w.b = binary.BigEndian.AppendUint32(append(w.b, thriftStruct), uint32(n))
}

func (w *thriftWriter) stop() { w.b = append(w.b, 0) }

func (w *thriftWriter) tags(id uint16, tags []model.KeyValue) {
	w.structs(id, len(tags))
	for _, t := range tags {
		w.str(1, t.Key)
		switch t.VType { // the Thrift enum has other numbers than the protobuf one
		case model.ValueType_FLOAT64:
			w.i32(2, 1)
			w.field(thriftDouble, 4)
			w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(t.VFloat64))
		case model.ValueType_BOOL:
			w.i32(2, 2)
			w.field(thriftBool, 5)
			w.b = append(w.b, map[bool]byte{true: 1}[t.VBool])
		case model.ValueType_INT64:
			w.i32(2, 3)
			w.i64(6, uint64(t.VInt64))
		default:
			w.i32(2, 0)
			w.str(3, t.VStr)
		}
		w.stop()
	}
}

// thriftBatch numbers the fields as jaeger.thrift does.
func thriftBatch(batch model.Batch) []byte {
	w := &thriftWriter{}
	w.field(thriftStruct, 1)
	w.str(1, batch.Process.ServiceName)
	w.tags(2, batch.Process.Tags)
	w.stop()
	w.structs(2, len(batch.Spans))
	for _, s := range batch.Spans {
		w.i64(1, s.TraceID.Low)
		w.i64(2, s.TraceID.High)
		w.i64(3, uint64(s.SpanID))
		w.i64(4, uint64(s.ParentSpanID()))
		w.str(5, s.OperationName)
		w.i32(7, 1) // sampled
		w.i64(8, uint64(s.StartTime.UnixMicro()))
		w.i64(9, uint64(s.Duration.Microseconds()))
		w.tags(10, s.Tags)
		w.stop()
	}
	w.stop()
	return w.b
}
