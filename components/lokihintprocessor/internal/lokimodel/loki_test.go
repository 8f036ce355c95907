//go:build e2e

package lokimodel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
	"github.com/sluice-otel/sluice/e2e/backends"
)

// Requests with everything in them that Loki treats in a way of its own: the model says what it answers, and what is found afterwards. Small limits, so that all
// of them are met.
func TestAsLokiDoes(t *testing.T) {
	loki := backends.StartLoki(t, backends.LokiOptions{Limits: `max_label_names_per_series: 3
max_label_value_length: 20
max_label_name_length: 30
max_structured_metadata_size: 150
max_structured_metadata_entries_count: 9
max_line_size: 100
`})
	s := Defaults(config.DefaultIndex())
	s.MaxLabels, s.MaxLabelNameBytes, s.MaxLabelValueBytes, s.MaxLineBytes, s.MaxMetadataBytes, s.MaxMetadataPairs = 3, 30, 20, 100, 150, 9
	s.Now = time.Now()
	g := generator{Rand: rand.New(rand.NewPCG(1, 2)), now: s.Now}
	want, met, refused := map[string]Entry{}, map[Reason]int{}, 0
	for range 800 {
		ld := g.request()
		r := s.Store(ld)
		if slices.ContainsFunc(r.Entries, breaksQueries) {
			continue
		}
		otlp, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
		require.NoError(t, err)
		status, answer := loki.Push(t, otlp)
		told := func(e Entry) bool { return e.Refused != "" && e.Refused != InvalidUTF8 }
		assert.Equal(t, r.Refused != "" || slices.ContainsFunc(r.Entries, told), status >= 400, "%d %q: %+v", status, answer, r)
		if r.Refused != "" {
			refused++
		}
		for _, e := range r.Entries {
			met[e.Refused]++
			if e.Refused == "" {
				want[e.Line] = e
			}
		}
	}
	for _, reason := range []Reason{
		"", InvalidUTF8, InvalidLabels, NoLabels, TooManyLabels, LabelNameTooLong, LabelValueTooLong, TooOld, TooNew, LineTooLong, MetadataTooLarge, MetadataTooMany,
	} {
		assert.Positive(t, met[reason], "no entry is refused for the reason %q", reason)
	}
	assert.Positive(t, refused)

	found := everything(t, loki)
	assert.Greater(t, len(want), 200)
	for line, e := range want {
		assert.Contains(t, found, line, "%+v", e)
	}
	for line, f := range found {
		e, ok := want[line]
		if !assert.True(t, ok, "stored, although the model refuses it: %+v", f) {
			continue
		}
		assert.Equal(t, e.Labels, f.Labels, line)
		assert.Equal(t, e.Time.UnixNano(), f.Time.UnixNano(), line)
		assert.Equal(t, shown(&e, nil), shown(&e, f.Metadata), line)
	}
}

// everything is all lines, by themselves. No single label is in all streams.
func everything(t *testing.T, loki *backends.Loki) map[string]backends.LogLine {
	found := map[string]backends.LogLine{}
	for _, key := range config.DefaultIndex() {
		for _, name := range []string{key, key + "_k"} { // generator.value makes no other leaves
			name, _ = config.Name(name)
			for _, l := range loki.Lines(t, "{"+name+`=~".+"}`) {
				found[l.Line] = l
			}
		}
	}
	return found
}

// shown is the metadata that a query shows of an entry, as the model has it, or as a query had it: without what Loki adds itself, and without names of which it
// shows any one.
func shown(e *Entry, queried map[string]string) map[string]string {
	m := map[string]string{}
	for name, value := range queried {
		m[name] = value
	}
	if queried == nil {
		for _, p := range e.Metadata {
			if p.Value != "" {
				m[p.Name] = p.Value
			}
		}
	}
	delete(m, "detected_level")
	for _, name := range e.Clashes() {
		delete(m, name)
		delete(m, name+"_extracted")
	}
	return m
}

// breaksQueries is set for entries of which Loki stores invalid UTF-8, and then answers no query that has to do with them: it mends only the first of two
// values of one name.
func breaksQueries(e Entry) bool {
	return e.Refused == "" && slices.ContainsFunc(e.Metadata, func(p Pair) bool { return strings.ContainsRune(p.Value, utf8.RuneError) })
}

// generator makes requests.
type generator struct {
	*rand.Rand
	now   time.Time
	lines int
}

func (g *generator) oneOf(options ...string) string { return options[g.IntN(len(options))] }

func (g *generator) request() plog.Logs {
	ld := plog.NewLogs()
	for range 1 + g.IntN(3) {
		rl := ld.ResourceLogs().AppendEmpty()
		g.attributes(rl.Resource().Attributes(), 7)
		for range g.IntN(3) {
			sl := rl.ScopeLogs().AppendEmpty()
			g.attributes(sl.Scope().Attributes(), 1)
			sl.Scope().SetName(g.oneOf("", "lib"))
			sl.Scope().SetVersion(g.oneOf("", "", "1"))
			sl.Scope().SetDroppedAttributesCount(uint32(g.IntN(2)))
			for range g.IntN(3) {
				g.record(sl.LogRecords().AppendEmpty())
			}
		}
	}
	return ld
}

func (g *generator) record(lr plog.LogRecord) {
	g.attributes(lr.Attributes(), 4)
	g.lines++
	lr.Body().SetStr(fmt.Sprintf("%d %s", g.lines, strings.Repeat("x", g.IntN(110))))
	// Never an hour behind another line of the stream.
	at := g.now.Add(-time.Duration(g.IntN(50)) * time.Minute)
	switch g.IntN(20) {
	case 0:
		at = g.now.Add(-8 * 24 * time.Hour)
	case 1:
		at = g.now.Add(20 * time.Minute)
	}
	if g.IntN(3) > 0 {
		lr.SetTimestamp(pcommon.NewTimestampFromTime(at))
		at = at.Add(time.Second)
	}
	if lr.Timestamp() == 0 || g.IntN(2) == 0 {
		lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(at))
	}
	if g.IntN(3) == 0 {
		lr.SetSeverityNumber(plog.SeverityNumber(g.IntN(30) - 2))
		lr.SetSeverityText("Warn")
	}
	if g.IntN(3) == 0 {
		lr.SetTraceID([16]byte{1})
		lr.SetSpanID([8]byte{2})
		lr.SetFlags(1)
		lr.SetDroppedAttributesCount(1)
	}
}

// attributes has keys twice, at times.
func (g *generator) attributes(m pcommon.Map, most int) {
	for range g.IntN(most + 1) {
		key := g.oneOf("service.name", "service.name", "k8s.pod.name", "k8s.pod.name", "k8s_pod_name", "k8s.container.name", "k8s.job.name", "cloud.region",
			"deployment.environment", "container.name", "a", "a.b", "a..b", "a_b", "9x", "_x", "__y", "__z__", "détail", "app", "service_name", "level",
			"trace_id", "scope_name", "severity_text", "observed_timestamp", "flags")
		if g.IntN(300) == 0 {
			key = g.oneOf("", "_", ".", "日本", "é")
		}
		g.value(m.PutEmpty(key), true)
	}
}

func (g *generator) value(v pcommon.Value, nested bool) {
	text := g.oneOf("", "v", "w", "longer than twenty bytes", "exactly twenty bytes", "q\"uote\\", "new\nline", "bad\xff", "rep\uFFFDlaced", "ü", "\x00\x7f", "{}",
		"\u2028", "INFO")
	switch g.IntN(14) {
	case 0:
		v.SetInt(g.Int64N(100))
	case 1:
		v.SetDouble(float64(g.IntN(10)) / 4)
	case 2:
		v.SetBool(true)
	case 3:
		if m := v.SetEmptyMap(); nested && g.IntN(4) > 0 {
			g.value(m.PutEmpty("k"), false)
		} else if nested {
			g.value(m.PutEmpty(strings.Repeat("k", 31)), false)
		}
	case 4:
		v.SetEmptySlice().AppendEmpty().SetStr("x")
	case 5:
		v.SetEmptyBytes().FromRaw([]byte(text))
	case 6:
		// empty
	default:
		v.SetStr(text)
	}
}
