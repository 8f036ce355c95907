//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/podlogs"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// upstream is what the project would be without containerlog: filelog with storage and endless retries, and the container
// operator. The exporter hands errors back, so that filelog itself has to keep what was refused.
const upstream = `
receivers:
  filelog:
    include: ['${env:POD_LOGS_DIR}/*/*/*.log']
    start_at: beginning
    storage: file_storage
    poll_interval: 200ms
    include_file_path: true
    retry_on_failure: {enabled: true, max_elapsed_time: 0s}
    encoding: utf-8-raw
    preserve_leading_whitespaces: true
    preserve_trailing_whitespaces: true
    operators: [{type: container}]
exporters:
  otlp_grpc:
    endpoint: ${env:GATEWAY_ENDPOINT}
    tls: {insecure: true}
    retry_on_failure: {enabled: false}
    sending_queue: {enabled: false}
extensions:
  health_check: {endpoint: '${env:HEALTH_ENDPOINT}'}
  file_storage: {directory: '${env:STATE_DIR}'}
service:
  extensions: [health_check, file_storage]
  pipelines:
    logs: {receivers: [filelog], exporters: [otlp_grpc]}
  telemetry: {metrics: {level: none}}
`

// Why there is code of our own between filelog and the queue: asked to stop while the next component refuses, filelog gives
// up its retries, swallows the error and saves the offset behind what was refused (coreinternal/consumerretry, stanza's
// adapter/receiver.go and fileconsumer/internal/reader). A release that mends it turns this test red.
func TestUpstreamLosesLinesStoppedWhileRefused(t *testing.T) {
	for name, gate := range map[string]string{
		"synchronous emitter": "stanza.synchronousLogEmitter", "batching emitter": "-stanza.synchronousLogEmitter",
	} {
		t.Run(name, func(t *testing.T) {
			s := startSoak(t, soakOptions{
				// Whole lines of one runtime, not rotated: what the operator cannot join is not the question here.
				fleet:     podlogs.Options{Containers: 10, Runtimes: []podlogs.Runtime{podlogs.Containerd}},
				perSecond: 300, patience: 5 * time.Second,
				start: func(env map[string]string) *harness.Collector {
					return harness.StartCollector(t, harness.Options{Name: "upstream", Override: upstream, Env: env, Gates: []string{gate}})
				},
			})
			s.write()
			for range 3 {
				s.pause(300*time.Millisecond, time.Second)
				s.sink.Status(http.StatusServiceUnavailable, 0)
				rejected := s.sink.Counts().Rejected
				proc.Eventually(t, 10*time.Second, func() error {
					if s.sink.Counts().Rejected == rejected {
						return errors.New("nothing was refused")
					}
					return nil
				}, s.agent.Proc)
				s.agent.Stop(t)
				s.sink.Heal(t)
				s.agent.Restart(t)
			}
			s.stopWrite()
			s.settle()
			s.tally.report(t)
			lost, _ := s.tally.missing(s.fleet.Counts())
			t.Logf("lost %d records in 3 stops, as is known", lost)
			assert.Positive(t, lost, "upstream no longer loses what is refused while it stops: is our own retry still needed?")
			for _, kind := range []string{"torn", "stream", "time"} {
				assert.Zero(t, s.tally.faults[kind], "%s: %v", kind, s.tally.sampled[kind])
			}
		})
	}
}
