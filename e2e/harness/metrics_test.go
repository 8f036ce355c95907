package harness

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMetrics(t *testing.T) {
	none := map[string]string{}
	f := func(input string, want ...Series) {
		t.Helper()
		got, err := ParseMetrics(input)
		require.NoError(t, err, input)
		assert.Equal(t, Page(want), got, input)
	}
	f("")
	f("\n# HELP up Is it?\n# TYPE up gauge\n")
	f("up 1", Series{"up", none, 1})
	f("up 1\r\n", Series{"up", none, 1})
	f("up\t 1.5e3 1700000000000", Series{"up", none, 1500})
	f("up{} 1", Series{"up", none, 1})
	f("up +Inf", Series{"up", none, math.Inf(1)})
	f("up -Inf", Series{"up", none, math.Inf(-1)})
	f(`a{x="1",y="2"} 3`, Series{"a", map[string]string{"x": "1", "y": "2"}, 3})
	f(`a{ x = "1" , y="2", } 3`, Series{"a", map[string]string{"x": "1", "y": "2"}, 3})
	f(`a{x=""} 3`, Series{"a", map[string]string{"x": ""}, 3})
	f(`a{x="}, y=\"2\" 4"} 3`, Series{"a", map[string]string{"x": `}, y="2" 4`}, 3})
	f(`a{x="C:\\dir\nnext"} 3`, Series{"a", map[string]string{"x": "C:\\dir\nnext"}, 3})
	f(`a{x="ü{"} 3`, Series{"a", map[string]string{"x": "ü{"}, 3})
	f(`{"a.b",x="1","y.z"="2"} 3`, Series{"a.b", map[string]string{"x": "1", "y.z": "2"}, 3})
	f(`a_bucket{le="0.1"} 8 # {trace_id="ff"} 0.054`, Series{"a_bucket", map[string]string{"le": "0.1"}, 8})
	f("a 1\nb 2\n# EOF\n", Series{"a", none, 1}, Series{"b", none, 2})

	got, err := ParseMetrics("up NaN")
	require.NoError(t, err)
	assert.True(t, math.IsNaN(got[0].Value))
}

func TestParseMetricsErrors(t *testing.T) {
	f := func(input, want string) {
		t.Helper()
		_, err := ParseMetrics(input)
		assert.ErrorContains(t, err, want, input)
	}
	f("up", "no value")
	f("up ", "no value")
	f("{} 1", "no name")
	f("up one", "one")
	f(`a{x="1"}`, "no value")
	f(`a{x="1" 3`, "label without a value")
	f(`a{x=1} 3`, "quote expected")
	f(`a{x} 3`, "label without a value")
	f(`a{x="1} 3`, "string without an end")
	f(`a{x="\`, "string without an end")
	f(`a{x="\t"} 3`, `unknown escape \t`)
	f("ok 1\nbad", "line 2")
}

func TestPageSum(t *testing.T) {
	page, err := ParseMetrics(`
sent{exporter="otlp",data_type="logs"} 1
sent{exporter="otlp",data_type="traces"} 2
sent{exporter="debug",data_type="logs"} 4
sent_total{exporter="otlp",data_type="logs"} 8
`)
	require.NoError(t, err)
	f := func(name string, labels map[string]string, want float64) {
		t.Helper()
		assert.InDelta(t, want, page.Sum(name, labels), 0, "%s %v", name, labels)
	}
	f("sent", nil, 7)
	f("sent", map[string]string{"exporter": "otlp"}, 3)
	f("sent", map[string]string{"exporter": "otlp", "data_type": "logs"}, 1)
	f("sent", map[string]string{"exporter": "none"}, 0)
	f("sent", map[string]string{"absent": ""}, 0)
	f("sent_total", nil, 8) // names match exactly
	f("sen", nil, 0)
	assert.True(t, page.Has("sent_total"))
	assert.False(t, page.Has("received"))
}

func TestCrashLine(t *testing.T) {
	f := func(log string, want ...string) {
		t.Helper()
		assert.Equal(t, want, crashLine.FindAllString(log, -1), log)
	}
	f("2026-11-21T11:00:58.490Z\tinfo\tservice.go:241\tStarting\t{}\n")
	f("2026-11-21T11:00:58.490Z\terror\tservice.go:241\tpanic is what the operator felt\t{}\n")
	f("a\tinfo\tx\tok\nb\tfatal\tx\tgone\nc\tinfo\tx\tok\n", "b\tfatal\tx\tgone")
	f("b\tpanic\tx\tgone", "b\tpanic\tx\tgone")
	f("b\tDPANIC\tx\tgone", "b\tDPANIC\tx\tgone")
	f(`{"level":"dpanic","msg":"gone"}`, `{"level":"dpanic","msg":"gone"}`)
	f(`{"level":"info","msg":"level: panic"}`)
	f("Body: Str(x\npanic: in a log line that the collector carries\n)") // not its own panic
	f("Body: Str(x\tfatal\ty)")
	f("a\terror\tserver.go\thttp: panic serving 1.2.3.4:5: boom", "a\terror\tserver.go\thttp: panic serving 1.2.3.4:5: boom")
	f("2026/11/21 11:00:58 http: panic serving 1.2.3.4:5: boom", "2026/11/21 11:00:58 http: panic serving 1.2.3.4:5: boom")
}
