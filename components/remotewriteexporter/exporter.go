package remotewriteexporter

import (
	"context"
	"fmt"
	"math/bits"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/resourcetotelemetry"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/prometheusremotewrite"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// maxSplits bounds the requests that one batch may cost in looking for what the backend refuses in it.
const maxSplits = 128

// writer sends batches from the queue.
type writer struct {
	set       component.TelemetrySettings
	cfg       *Config
	cleaner   *cleaner
	converter *converter
	client    *client
	tel       *telemetry
	// labels copies a resource's attributes to its points, after the queue: on disk they would be there once for each point.
	labels consumer.Metrics

	// What a point was in the last request, so that a batch that is too large for one request is cut before it is converted.
	bytesPerPoint atomic.Int64
	limit         *limit
	encode        func(message, int) ([]byte, error) // tests replace it
}

func newWriter(set exporter.Settings, cfg *Config) (*writer, error) {
	labels, err := cfg.labels()
	if err != nil {
		return nil, err
	}
	tel, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	v2 := cfg.ProtobufMessage == messageV2
	w := &writer{
		set: set.TelemetrySettings, cfg: cfg, tel: tel, cleaner: newCleaner(cfg.MetricSuffixes),
		converter: &converter{v2: v2, settings: prometheusremotewrite.Settings{
			ExternalLabels: labels, DisableTargetInfo: !cfg.TargetInfo.Enabled, AddMetricSuffixes: cfg.MetricSuffixes,
		}},
		client: &client{endpoint: cfg.Endpoint, userAgent: set.BuildInfo.Command + "/" + set.BuildInfo.Version, v2: v2},
		labels: resourcetotelemetry.WrapMetricsExporter(cfg.ResourceToLabels, inPlace{}),
		limit:  newLimit(cfg.MaxRequestBytes), encode: encode,
	}
	return w, nil
}

func (w *writer) start(ctx context.Context, host component.Host) error {
	return w.client.start(ctx, host, w.set, w.cfg)
}

func (w *writer) shutdown(context.Context) error {
	if w.client.http != nil {
		w.client.http.CloseIdleConnections()
	}
	w.tel.builder.Shutdown()
	return nil
}

// inPlace is an exporter that does nothing: what is wrapped around it works on the metrics themselves.
type inPlace struct {
	component.StartFunc
	component.ShutdownFunc
}

func (inPlace) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (inPlace) ConsumeMetrics(context.Context, pmetric.Metrics) error { return nil }

// piece is a part of a batch; splits is how many requests it may still cost to find what is refused in it.
type piece struct {
	md     pmetric.Metrics
	splits int
}

// push sends a batch in order, in as many requests as it takes. What can be sent again later comes back with the error; what never
// can is counted, and an error only when that is all of it.
func (w *writer) push(ctx context.Context, md pmetric.Metrics) error {
	clean, found := w.cleaner.clean(md)
	w.tel.left(found)
	if err := w.labels.ConsumeMetrics(ctx, clean); err != nil {
		return err
	}
	todo := w.cut(clean)
	changed := len(todo) > 1 || found != findings{}
	spare, wrote := 0, false
	var lost error
	for len(todo) > 0 {
		p := &todo[len(todo)-1]
		p.splits += spare
		r := w.request(ctx, p)
		switch {
		case r.outcome == answer.Split:
			changed, spare = true, 0
			todo = append(todo[:len(todo)-1], halve(*p)...)
			continue
		case r.outcome.Keeps():
			err := r.err
			if r.after > 0 {
				err = exporterhelper.NewThrottleRetry(err, r.after)
			}
			if !changed {
				return err
			}
			return consumererror.NewMetrics(err, rest(todo))
		case r.outcome == answer.Rejected:
			lost = r.err
		default:
			wrote = true
		}
		changed, spare = true, p.splits
		todo = todo[:len(todo)-1]
	}
	if lost != nil && !wrote {
		return consumererror.NewPermanent(lost)
	}
	return nil
}

// cut cuts a batch into what will probably fit into a request each.
func (w *writer) cut(md pmetric.Metrics) []piece {
	n, limit := int64(md.DataPointCount()), w.limit.bytes()
	if n == 0 {
		return nil
	}
	pieces := parts(md, int((n*w.bytesPerPoint.Load()+limit-1)/limit))
	todo := make([]piece, len(pieces)) // a stack: the first piece is its last
	for i, md := range pieces {
		todo[len(pieces)-1-i] = piece{md: md, splits: maxSplits / len(pieces)}
	}
	return todo
}

// halve returns the second half and the first. The first may use what there is to split, except what finding one bad point in the second takes;
// what it does not use goes to the second.
func halve(p piece) []piece {
	halves := parts(p.md, 2)
	enough := func(md pmetric.Metrics) int { return 2 * bits.Len(uint(md.DataPointCount())) }
	second := min(max(p.splits-enough(halves[0]), 0), enough(halves[1]))
	return []piece{{md: halves[1], splits: second}, {md: halves[0], splits: p.splits - second}}
}

// rest is what a stack holds, in order.
func rest(todo []piece) pmetric.Metrics {
	pieces := make([]pmetric.Metrics, len(todo))
	for i := range todo {
		pieces[len(todo)-1-i] = todo[i].md
	}
	return join(pieces)
}

// result is what became of one request.
type result struct {
	outcome answer.Outcome
	err     error
	after   time.Duration
}

// request sends a piece, unless it turns out to be too large.
func (w *writer) request(ctx context.Context, p *piece) result {
	n := p.md.DataPointCount()
	msg, sent, problems := w.converter.convert(p.md)
	size := msg.Size()
	w.bytesPerPoint.Store(int64(size/n) + 1)
	if int64(size) > w.limit.bytes() && n > 1 {
		return result{outcome: answer.Split}
	}
	if sent.Points() == 0 {
		w.tel.settled(p.md, sent, answer.Written, &answer.Answer{}, problems)
		return result{outcome: answer.Written}
	}
	body, err := w.encode(msg, size)
	if err != nil {
		w.tel.settled(p.md, sent, answer.Rejected, &answer.Answer{Message: answer.Line("not asked, the request cannot be made: " + err.Error())}, problems)
		return result{outcome: answer.Rejected, err: err}
	}
	a, err := w.client.send(ctx, body)
	if err != nil {
		w.tel.request(answer.Unavailable, err.Error())
		return result{outcome: answer.Unavailable, err: err}
	}
	outcome := a.Judge(w.converter.v2, sent)
	if outcome == answer.Split && !w.splits(p, n, size, &a) {
		outcome = answer.Rejected
	}
	if outcome == answer.Written || outcome == answer.Partial {
		w.limit.took(size)
	}
	w.tel.request(outcome, a.Message)
	if !outcome.Keeps() && outcome != answer.Split {
		w.tel.settled(p.md, sent, outcome, &a, problems)
	}
	return result{outcome: outcome, err: describe(&a, outcome), after: a.RetryAfter}
}

// splits says whether a piece that was refused can be sent in halves, and charges the piece for it.
func (w *writer) splits(p *piece, points, size int, a *answer.Answer) bool {
	if points < 2 {
		return false
	}
	smaller := false
	if a.TooLarge() {
		is, changed, below := w.limit.lower(size)
		if changed {
			w.tel.lowered(size, is)
		}
		// Nobody but who has looked at the size alone says 413. To what is above the new limit nothing can happen twice, so a batch
		// of many pieces, which have little to spend each, does not lose any to the attempt at larger requests.
		if smaller = below; a.Status == http.StatusRequestEntityTooLarge {
			return true
		}
	}
	if p.splits < 2 {
		return smaller
	}
	p.splits -= 2
	return true
}

func describe(a *answer.Answer, o answer.Outcome) error {
	switch {
	case o == answer.Written || o == answer.Partial:
		return nil
	case o == answer.Unconfirmed:
		return fmt.Errorf("the backend answered %d and not what it has written, so it does not speak remote write 2.0: set protobuf_message to %s", a.Status, messageV1)
	case a.Message == "":
		return fmt.Errorf("the backend answered %d", a.Status)
	}
	return fmt.Errorf("the backend answered %d: %s", a.Status, a.Message)
}
