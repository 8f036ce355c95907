// Package lokiload makes the logs that benchmarks of loki_hint send: those of containers, as the agent describes them.
package lokiload

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Pods are as many as there are, of 200 applications in 10 namespaces.
const Pods = 1000

// Batch has records of so many pods, from the first on. Broken ones have attributes that have to be mended.
func Batch(first, pods, records int, broken bool) plog.Logs {
	ld := plog.NewLogs()
	for pod := first; pod < first+pods; pod++ {
		resource(ld.ResourceLogs().AppendEmpty(), pod, records, broken)
	}
	return ld
}

func resource(rl plog.ResourceLogs, pod, records int, broken bool) {
	app := fmt.Sprintf("shop-%d", pod%200)
	name := fmt.Sprintf("%s-7d4b9c6f5-%05d", app, pod)
	namespace := fmt.Sprintf("team-%d", pod%10)
	a := rl.Resource().Attributes()
	for _, kv := range [][2]string{
		{"k8s.namespace.name", namespace},
		{"k8s.pod.name", name},
		{"k8s.container.name", "app"},
		{"k8s.pod.uid", fmt.Sprintf("0b6e1c5e-6a3c-4a55-9d0e-%012d", pod)},
		{"k8s.node.name", fmt.Sprintf("node-%d.eu-west-1.compute.internal", pod%30)},
		{"k8s.deployment.name", app},
		{"k8s.replicaset.name", app + "-7d4b9c6f5"},
		{"container.image.name", "registry.example.com/shop/" + app},
		{"container.image.tag", "1.42.0"},
		{"service.name", app},
		{"service.version", "1.42.0"},
		{"service.instance.id", namespace + "." + name + ".app"},
		{"k8s.cluster.name", "production"},
	} {
		a.PutStr(kv[0], kv[1])
	}
	if broken {
		a.PutStr("_", "nobody can name this")
		a.PutStr("loki.resource.labels", "k8s.pod.name, k8s.node.name")
	}
	all := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range records {
		record(all.AppendEmpty(), i, broken)
	}
}

// body has 200 bytes.
var body = strings.Repeat("order 4711 was paid by card; ", 7)[:200]

func record(lr plog.LogRecord, i int, broken bool) {
	now := time.Now()
	lr.SetTimestamp(pcommon.NewTimestampFromTime(now))
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
	lr.Body().SetStr(body)
	level, stream := plog.SeverityNumberInfo, "stdout"
	switch i % 10 {
	case 4, 7:
		level = plog.SeverityNumberWarn
	case 9:
		level, stream = plog.SeverityNumberError, "stderr"
	}
	lr.SetSeverityNumber(level)
	lr.SetSeverityText(level.String())
	a := lr.Attributes()
	a.PutStr("log.iostream", stream)
	a.PutStr("http.request.method", "POST")
	a.PutStr("http.route", "/api/v1/orders/{id}")
	a.PutInt("http.response.status_code", 200)
	a.PutStr("server.address", "shop.example.com")
	a.PutStr("thread.name", "worker-3")
	if broken {
		a.PutStr(".", "nobody can name this")
		a.PutStr("k8s_pod_name", "another value than the resource has")
		a.PutStr("k8s.container.name", "app")
		a.PutStr("client.name", "no \xff UTF-8")
	}
}
