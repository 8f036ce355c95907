package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
)

// TestPartials joins the long records as a reader has to: by stream.
func TestPartials(t *testing.T) {
	long, interleaved := false, false
	for name, data := range sampleFiles(t) {
		if !strings.HasPrefix(name, "pods/shop_report-worker-") {
			continue
		}
		held := map[string]string{}
		for line := range strings.Lines(data) {
			part := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
			stream, tag, body := part[1], part[2], part[3]
			held[stream] += body
			if tag == "P" {
				if len(body) != 16384 {
					t.Errorf("a piece has %d bytes", len(body))
				}
				continue
			}
			record := held[stream]
			long = long || len(record) > 40_000 && json.Valid([]byte(record))
			interleaved = interleaved || inOrder(record, "reconciliation: invoice ", "invoice ") > 400
			held[stream] = ""
		}
	}
	if !long {
		t.Error("the pieces do not make a JSON record of 40 KB")
	}
	if !interleaved {
		t.Error("the pieces around a line of stderr do not make one record")
	}
}

// TestDockerPieces joins the long line: only the last piece ends with a line break.
func TestDockerPieces(t *testing.T) {
	const container = "docker/e41f8a2c6b9d0573f8e1c4a7d2b5906e3f1a8c7d4b2e9f605a3c1d8e7b4f2096/"
	record, pieces, joined := "", 0, false
	for line := range strings.Lines(sampleFiles(t)[container+path.Base(container)+"-json.log"]) {
		var v struct{ Log *string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.Log == nil {
			continue // an empty line without its line break
		}
		record += *v.Log
		pieces++
		if strings.HasSuffix(record, "\n") {
			joined = joined || pieces == 2 && inOrder(record, "table stock: block ", "block ") > 1000
			record, pieces = "", 0
		}
	}
	if !joined {
		t.Error("no two pieces make one record")
	}
}

// inOrder counts the numbers of five digits behind word in a record that begins like this: 0 when one is missing or torn.
func inOrder(record, begin, word string) int {
	if !strings.HasPrefix(record, begin) {
		return 0
	}
	numbers := strings.Split(record, word)[1:]
	for i, s := range numbers {
		if !strings.HasPrefix(s, fmt.Sprintf("%05d ", i)) {
			return 0
		}
	}
	return len(numbers)
}
