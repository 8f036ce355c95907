package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestExplain(t *testing.T) {
	f := func(name string) {
		t.Helper()
		status, out, problem := lokihint(t, "", "explain", "--config", "testdata/"+name+".yaml", "testdata/logs.jsonl")
		assert.Zero(t, status, problem)
		golden(t, "explain-"+name, out)
	}

	f("default")
	f("generated")
	f("list")
	f("tenants")
}

// One document over many lines, or documents that follow each other, are the same.
func TestExplainInput(t *testing.T) {
	text, err := os.ReadFile("testdata/logs.jsonl")
	require.NoError(t, err)
	_, want, _ := lokihint(t, "", "explain", "--config", "testdata/default.yaml", "testdata/logs.jsonl")
	f := func(in string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, in, append([]string{"explain", "--config", "testdata/default.yaml"}, args...)...)
		assert.Zero(t, status, problem)
		assert.Equal(t, want, out)
	}

	f(string(text))
	f(string(text), "-")
	f(strings.ReplaceAll(string(text), "\n", ""))
	var indented bytes.Buffer
	for line := range bytes.Lines(text) {
		require.NoError(t, json.Indent(&indented, line, "", "  "))
	}
	f(indented.String())
}

func TestExplainNothing(t *testing.T) {
	f := func(in string) {
		t.Helper()
		status, out, problem := lokihint(t, in, "explain", "--config", "testdata/default.yaml")
		assert.Zero(t, status, problem)
		assert.Equal(t, "0 records in 0 streams, contract: default.\n", out)
	}

	f("")
	f("\n\n")
	f("{}")
	f(`{"resourceLogs":[]}`)
	f(`{"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}]},"scopeLogs":[{}]}]}`)
}

// Loki's limits on entries are not the processor's to keep: it is told what they do.
func TestExplainWhatIsNotStored(t *testing.T) {
	f := func(body, attributes, want string) {
		t.Helper()
		in := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"%s"},"attributes":[%s]}]}]}]}`, body, attributes)
		status, out, problem := lokihint(t, in, "explain", "--config", "testdata/default.yaml")
		assert.Zero(t, status, problem)
		assert.Contains(t, out, "{service_name=\"unknown_service\"}\n  no time  "+body)
		assert.Contains(t, out, "    NOT STORED with Loki's default limits: "+want+"\n")
		assert.NotContains(t, out, "refusable")
	}
	var many []string
	for i := range 129 {
		many = append(many, fmt.Sprintf(`{"key":"k%d","value":{"intValue":1}}`, i))
	}

	f(strings.Repeat("x", 256<<10+1), "", "line_too_long")
	f("x", strings.Join(many, ","), "structured_metadata_too_many")
	f("x", `{"key":"k","value":{"stringValue":"`+strings.Repeat("x", 64<<10)+`"}}`, "structured_metadata_too_large")
}

// Each label has a reason of its own not to be one.
func TestExplainDemotion(t *testing.T) {
	const config = `processors::loki_hint: {contract: generated, max_labels: 4, max_value_bytes: 16, budget: {max_streams: 3}, storage: file_storage, labels: [
		{from: [resource.a], max_values: 1}, resource.b, {from: [resource.c], values: [x]}, resource.d, {from: [resource.e], max_values: 1}, resource.f]}`
	var lines []string
	for _, attributes := range []string{
		"a=1 b=1", "a=2 b=1", // a second value of a, where one is the most
		"b=12345678901234567", "c=y", "a=1 b=1 c=x d=1 e=1 f=1",
		"b=5", "b=6", // streams
		"e=2",
	} {
		var pairs []string
		for _, a := range strings.Fields(attributes) {
			key, value, _ := strings.Cut(a, "=")
			pairs = append(pairs, fmt.Sprintf(`{"key":"%s","value":{"stringValue":"%s"}}`, key, value))
		}
		lines = append(lines, fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[%s]},"scopeLogs":[{"logRecords":[{"attributes":[{"key":"empty","value":{"stringValue":""}}]}]}]}]}`,
			strings.Join(pairs, ",")))
	}
	status, out, problem := lokihint(t, strings.Join(lines, "\n"), "explain", "--config", "yaml:"+config)
	assert.Zero(t, status, problem)
	golden(t, "explain-demotion", out)
}

func TestExplainErrors(t *testing.T) {
	f := func(in, want string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, in, append([]string{"explain", "--config", "testdata/default.yaml"}, args...)...)
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Contains(t, problem, want)
	}

	f("", "testdata/none.jsonl: no such file", "testdata/none.jsonl")
	f("a line of a log", "standard input: document 1: no JSON")
	f("2026-11-02 another", "standard input: document 1: no OTLP logs")
	f(`{"resourceLogs":[]}{"resourceLogs":[`, "standard input: document 2: no JSON: unexpected EOF")
	f("{}\n[1]", "standard input: document 2: no OTLP logs")
	f(`{"resourceSpans":[]}`, "document 1: no OTLP logs: must have resourceLogs")
	f(`{"resourceLogs":[{"resource":7}]}`, "document 1: no OTLP logs")
	f("{}", "labels::0: name", "--config", "yaml:processors::loki_hint::labels: [resource.team]")
}

// The processor's mistakes would show, too.
func TestTellOfARefusedRequest(t *testing.T) {
	l, err := load(t.Context(), source{files: []string{"testdata/default.yaml"}})
	require.NoError(t, err)
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Attributes().PutStr("_", "x")
	var out bytes.Buffer
	tell(&out, l, []plog.Logs{ld}, []sent{{logs: ld}}, nil)
	assert.Contains(t, out.String(), "1 record in 0 streams, contract: default.\nLoki refuses a request of 1 record: attribute \"_\": ")
}

func TestPrintable(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		assert.Equal(t, want, printable(line))
	}

	f("", `""`)
	f("a\t\"b\" ü", "a\t\"b\" ü")
	f("a\nb", `"a\nb"`)
	f("\x1b[31mred", `"\x1b[31mred"`)
	f("a\xff", `"a\xff"`)
}
