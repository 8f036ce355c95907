// Command lokitranslator reads OTLP JSON, a request on each line, and writes the labels that exporters which know hints make of it: a JSON object for each
// record, in their order.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/loki"
	"go.opentelemetry.io/collector/pdata/plog"
)

func main() {
	if err := translate(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func translate(in io.Reader, out io.Writer) error {
	requests := bufio.NewScanner(in)
	requests.Buffer(nil, 16<<20)
	result := json.NewEncoder(out)
	for requests.Scan() {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(requests.Bytes())
		if err != nil {
			return err
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					entry, err := loki.LogToLokiEntry(lr, rl.Resource(), sl.Scope(), nil)
					if err != nil {
						return err
					}
					if err = result.Encode(entry.Labels); err != nil {
						return err
					}
				}
			}
		}
	}
	return requests.Err()
}
