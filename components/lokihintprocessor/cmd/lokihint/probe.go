package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// probeService is the service that verify's record is of.
const probeService = "lokihint-probe"

// maxIndexed bounds what the probe has of Loki's own list where the processor lets that pass: a Loki that is not configured takes it all the same,
// with at most 15 labels, and its labels show what is wrong.
const maxIndexed = 12

// probe is a record with a value for every source of a label, and for what Loki indexes by itself.
func probe(l *loaded, tenant string, now time.Time) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	resource, record := rl.Resource().Attributes(), lr.Attributes()
	// Values count up in the order of the configuration, so that every run makes the same stream.
	put := func(attrs pcommon.Map, key string) {
		if _, ok := attrs.Get(key); !ok {
			attrs.PutStr(key, fmt.Sprintf("probe-%d", resource.Len()+record.Len()))
		}
	}
	lr.SetSeverityText("info")
	var onResource, onRecord []string
	for _, label := range l.plan.Labels {
		for i, from := range label.From {
			attrs, hints := resource, &onResource
			if from.Record {
				attrs, hints = record, &onRecord
			}
			known := ""
			if i == 0 && len(label.Values) > 0 {
				known = label.Values[0]
			}
			switch {
			case from.Key == "" && known != "":
				lr.SetSeverityText(known)
			case from.Key == "":
			case known != "":
				attrs.PutStr(from.Key, known)
			default:
				put(attrs, from.Key)
			}
			if label.OnHint {
				*hints = append(*hints, from.Key)
			}
		}
	}
	if len(onResource) > 0 {
		resource.PutStr(config.HintResourceLabels, strings.Join(onResource, ","))
	}
	if len(onRecord) > 0 {
		record.PutStr(config.HintAttributeLabels, strings.Join(onRecord, ","))
	}
	index := config.DefaultIndex()
	for _, key := range index {
		if l.cfg.Contract == config.ContractDefault || has(resource, index) < maxIndexed {
			put(resource, key)
		}
	}
	for _, key := range l.plan.Tenant {
		resource.PutStr(key, cmp.Or(tenant, l.cfg.Tenant.Default))
	}
	resource.PutStr("service.name", probeService)
	lr.Body().SetStr("lokihint verify looks which labels this line gets")
	lr.SetTimestamp(pcommon.NewTimestampFromTime(now))
	return ld
}

func has(attrs pcommon.Map, keys []string) int {
	n := 0
	for _, key := range keys {
		if _, ok := attrs.Get(key); ok {
			n++
		}
	}
	return n
}
