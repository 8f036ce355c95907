package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// The load of -limiter: 10,000 series in ten requests, as agents send those of the pods of their nodes.
const (
	requests      = 10
	podsOf        = 2 // in a request
	metricsOf     = 20
	seriesOf      = 25
	requestPoints = podsOf * metricsOf * seriesOf

	// users is how many series an exploding metric has for each of its usual ones.
	users = 40

	// minPoints are enough to explode: every series ten times.
	minPoints = 10 * requests * requestPoints
)

// kind is the type of a metric, with its temporality.
type kind int

const (
	gauge kind = iota
	cumulativeSum
	deltaSum
	cumulativeHistogram
	deltaHistogram
)

// kinds follow each other in a pod's metrics. Every fourth metric is one that may explode: one of each kind.
var kinds = []kind{cumulativeSum, gauge, cumulativeHistogram, cumulativeSum, deltaSum, gauge, gauge, cumulativeSum, deltaHistogram, deltaSum}

// What stands in a request where something else is written before it is sent.
const (
	timeMark  = 0x0f1e2d3c4b5a6978
	startMark = 0x1f2e3d4c5b6a7988
	userMark  = "0123456789abcdef"
)

// request is an export request that is marshaled once. What must change from one time to the next is written into its bytes:
// making it anew would cost the sender more than the collector.
type request struct {
	body   []byte
	times  []int // where the points' times are
	starts []int // where those of delta temporality have their starts
	users  []int // where points of exploding series have the value that tells them apart
	last   time.Time
	sent   int
}

// newRequest makes one of the requests. With explode a quarter of its points have an attribute whose values are many.
func newRequest(index int, explode bool, at time.Time) (*request, error) {
	md := pmetric.NewMetrics()
	for pod := index * podsOf; pod < (index+1)*podsOf; pod++ {
		rm := md.ResourceMetrics().AppendEmpty()
		for _, kv := range [][2]string{
			{"k8s.cluster.name", "production"},
			{"k8s.namespace.name", fmt.Sprintf("team-%d", pod%7)},
			{"k8s.node.name", fmt.Sprintf("node-%d.eu-west-1.compute.internal", index)},
			{"k8s.pod.name", fmt.Sprintf("shop-%d-5d4f8c7b9-x%04d", pod, pod)},
			{"k8s.pod.uid", fmt.Sprintf("6f1d2c3b-4a59-4e68-8f70-%012d", pod)},
			{"k8s.deployment.name", fmt.Sprintf("shop-%d", pod)},
			{"service.name", fmt.Sprintf("shop-%d", pod)},
			{"service.version", "1.42.0"},
		} {
			rm.Resource().Attributes().PutStr(kv[0], kv[1])
		}
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("github.com/example/instrumentation/http")
		sm.Scope().SetVersion("0.60.0")
		for i := range metricsOf {
			addMetric(sm.Metrics().AppendEmpty(), i, explode && i%4 == 0, at)
		}
	}
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		return nil, err
	}
	return &request{
		body:   body,
		times:  offsets(body, binary.LittleEndian.AppendUint64(nil, timeMark)),
		starts: offsets(body, binary.LittleEndian.AppendUint64(nil, startMark)),
		users:  offsets(body, []byte(userMark)),
		last:   at,
	}, nil
}

func offsets(body, mark []byte) (list []int) {
	for i := 0; ; i += len(mark) {
		next := bytes.Index(body[i:], mark)
		if next < 0 {
			return list
		}
		i += next
		list = append(list, i)
	}
}

// next is what to send at a time, until next is called again.
func (r *request) next(at time.Time) []byte {
	for _, i := range r.times {
		binary.LittleEndian.PutUint64(r.body[i:], uint64(at.UnixNano()))
	}
	for _, i := range r.starts {
		binary.LittleEndian.PutUint64(r.body[i:], uint64(r.last.UnixNano()))
	}
	for n, i := range r.users {
		// Spread over all digits, as ids are. The multiplier is odd: different numbers stay different.
		id := uint64(r.sent%users*len(r.users)+n) * 0x9e3779b97f4a7c15
		copy(r.body[i:], fmt.Sprintf("%016x", id))
	}
	r.last = at
	r.sent++
	return r.body
}

// addMetric fills in one metric of a pod. What is cumulative began at the given time.
func addMetric(m pmetric.Metric, index int, explodes bool, began time.Time) {
	m.SetName(fmt.Sprintf("http.server.measure_%d", index))
	m.SetUnit("s")
	m.SetDescription("What requests of one kind took or moved.")
	kind := kinds[index%len(kinds)]
	temporality, start := pmetric.AggregationTemporalityCumulative, pcommon.NewTimestampFromTime(began)
	if kind == deltaSum || kind == deltaHistogram {
		temporality, start = pmetric.AggregationTemporalityDelta, startMark
	}
	switch kind {
	case gauge:
		points := m.SetEmptyGauge().DataPoints()
		for j := range seriesOf {
			p := points.AppendEmpty()
			p.SetDoubleValue(0.25 * float64(j))
			identify(p, j, explodes, 0)
		}
	case cumulativeSum, deltaSum:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(temporality)
		for j := range seriesOf {
			p := sum.DataPoints().AppendEmpty()
			p.SetIntValue(int64(100 * j))
			identify(p, j, explodes, start)
		}
	case cumulativeHistogram, deltaHistogram:
		histogram := m.SetEmptyHistogram()
		histogram.SetAggregationTemporality(temporality)
		for j := range seriesOf {
			p := histogram.DataPoints().AppendEmpty()
			p.ExplicitBounds().FromRaw(bounds)
			p.BucketCounts().FromRaw([]uint64{0, 1, 5, 20, 40, 30, 10, 5, 3, 2, 1, 0, 0, 0, 0})
			p.SetCount(117)
			p.SetSum(9.5)
			identify(p, j, explodes, start)
		}
	}
}

// bounds are those that HTTP instrumentation uses.
var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// identify gives a point its place in time and the five attributes that make it a series of its metric.
func identify(p interface {
	Attributes() pcommon.Map
	SetTimestamp(pcommon.Timestamp)
	SetStartTimestamp(pcommon.Timestamp)
}, series int, explodes bool, start pcommon.Timestamp,
) {
	p.SetTimestamp(timeMark)
	p.SetStartTimestamp(start)
	a := p.Attributes()
	a.EnsureCapacity(5)
	a.PutStr("http.request.method", []string{"GET", "PUT", "POST", "DELETE", "PATCH"}[series%5])
	a.PutStr("http.route", fmt.Sprintf("/api/v1/orders/{id}/items-%d", series%5))
	a.PutInt("http.response.status_code", int64(200+100*(series/5)))
	a.PutStr("server.address", "shop.example.com")
	if explodes {
		a.PutStr("user.id", userMark)
	} else {
		a.PutStr("url.scheme", "https")
	}
}
