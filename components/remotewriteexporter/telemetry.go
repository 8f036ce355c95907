package remotewriteexporter

import (
	"context"
	"math/bits"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/internal/seldom"
	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/metadata"
)

// silence is how long the log says nothing more about something that it has told.
const silence = time.Minute

type telemetry struct {
	id      string
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder

	requests [answer.NumOutcomes]metric.MeasurementOption
	rejected [answer.NumReasons]metric.MeasurementOption
	unsent   [numUnsent]metric.MeasurementOption
	mended   [numMends]metric.MeasurementOption
	samples  metric.MeasurementOption
	natives  metric.MeasurementOption
	exempl   metric.MeasurementOption
	plain    metric.MeasurementOption

	told *seldom.Teller[string]
	now  func() time.Time
}

func newTelemetry(set exporter.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	id := attribute.String("exporter", set.ID.String())
	with := func(key, value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(id, attribute.String(key, value)))
	}
	t := &telemetry{
		id: set.ID.String(), logger: set.Logger, builder: builder, told: seldom.New[string](silence), now: time.Now,
		samples: with("kind", "sample"), natives: with("kind", "histogram"), exempl: with("kind", "exemplar"),
		plain: metric.WithAttributeSet(attribute.NewSet(id)),
	}
	for o := range answer.NumOutcomes {
		t.requests[o] = with("outcome", o.String())
	}
	for r := range answer.NumReasons {
		t.rejected[r] = with("reason", r.String())
	}
	for u := range numUnsent {
		t.unsent[u] = with("reason", u.String())
	}
	for m := range numMends {
		t.mended[m] = with("mend", m.String())
	}
	return t, nil
}

func add(counter metric.Int64Counter, n int, of metric.MeasurementOption) {
	if n > 0 {
		counter.Add(context.Background(), int64(n), of)
	}
}

// left counts what clean found.
func (t *telemetry) left(f findings) {
	if f == (findings{}) {
		return
	}
	for u, n := range f.points {
		add(t.builder.ExporterRemoteWriteUnsentPoints, n, t.unsent[u])
		if n > 0 && t.speak("unsent "+unsent(u).String()) {
			t.logger.Warn("points that remote write cannot express are left out", zap.Stringer("reason", unsent(u)), zap.Int("points", n),
				zap.String("metric", answer.Line(f.metric)))
		}
	}
	for m, n := range f.mended {
		add(t.builder.ExporterRemoteWriteMendedAttributes, n, t.mended[m])
	}
}

// request counts a request, and warns when nothing will be delivered until somebody does something.
func (t *telemetry) request(o answer.Outcome, message string) {
	add(t.builder.ExporterRemoteWriteRequests, 1, t.requests[o])
	var what string
	switch o {
	case answer.Refused:
		what = "the address, the credentials or the path of the backend are wrong, or something in between is; the metrics are kept and sent again until that is mended"
	case answer.Unconfirmed:
		what = "the backend does not say what it has written, so it does not speak remote write 2.0; the metrics are kept and sent again until protobuf_message is changed"
	case answer.Written, answer.Partial, answer.Rejected, answer.Split, answer.Throttled, answer.Unavailable, answer.NumOutcomes:
		return // settled tells, or the retries do
	}
	if t.speak(o.String()) {
		t.logger.Warn(what, zap.String("answer", message))
	}
}

// settled counts what is over for a request's data: written, or given up.
func (t *telemetry) settled(md pmetric.Metrics, sent answer.Stats, o answer.Outcome, a *answer.Answer, problems []error) {
	written := sent
	switch {
	case a.Confirmed:
		written = a.Written
	case o == answer.Rejected:
		written = answer.Stats{}
	}
	add(t.builder.ExporterRemoteWriteWrittenSamples, written.Samples, t.samples)
	add(t.builder.ExporterRemoteWriteWrittenSamples, written.Histograms, t.natives)
	add(t.builder.ExporterRemoteWriteWrittenSamples, written.Exemplars, t.exempl)
	add(t.builder.ExporterRemoteWriteUnsentExemplars, exemplarsIn(md)-sent.Exemplars, t.plain)
	add(t.builder.ExporterRemoteWriteUnsentPoints, len(problems), t.unsent[otherUnsent])
	if len(problems) > 0 && t.speak("translator") {
		t.logger.Warn("the translator left something out", zap.String("problem", answer.Line(problems[0].Error())))
	}
	lost := sent.Points() - written.Points()
	if lost <= 0 {
		return
	}
	reason := a.Reason()
	add(t.builder.ExporterRemoteWriteRejectedSamples, lost, t.rejected[reason])
	if t.speak("rejected " + reason.String()) {
		t.logger.Warn("the backend will never take these samples, they are given up", zap.Stringer("reason", reason), zap.Int("samples", lost),
			zap.Int("status", a.Status), zap.String("answer", a.Message))
	}
}

func (t *telemetry) lowered(size int, limit int64) {
	// On the way down every step is told, not what the attempts at larger ones repeat.
	if t.speak("lowered " + strconv.Itoa(bits.Len64(uint64(limit)))) {
		t.logger.Warn("the backend refuses requests of this size; they are smaller until it has taken some, then larger ones are tried", zap.Int("bytes", size),
			zap.Int64("max_request_bytes", limit))
	}
}

// speak says whether to tell something that may come with every request.
func (t *telemetry) speak(about string) bool { return t.told.Tell(about, t.now()) }
