package lokihintprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// What Loki refuses by default: limits_config max_line_size, max_structured_metadata_size, max_structured_metadata_entries_count,
// reject_old_samples_max_age and creation_grace_period.
const (
	maxLine     = 256 << 10
	maxMetadata = 64 << 10
	maxEntries  = 128
	maxAge      = 7 * 24 * time.Hour
	maxAhead    = 10 * time.Minute
)

// size is that of structured metadata: names and values, and how many. Values that are no text count for a little.
type size struct{ bytes, entries int }

func (s *size) add(name string, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		s.addText(name, len(v.Str()))
	case pcommon.ValueTypeMap:
		for raw, inner := range v.Map().All() {
			s.addLeaf(len(name)+1+len(raw), inner)
		}
	default:
		s.addText(name, 8)
	}
}

func (s *size) addLeaf(name int, v pcommon.Value) {
	if v.Type() == pcommon.ValueTypeMap {
		for raw, inner := range v.Map().All() {
			s.addLeaf(name+1+len(raw), inner)
		}
		return
	}
	s.entries++
	s.bytes += name
	if v.Type() == pcommon.ValueTypeStr {
		s.bytes += len(v.Str())
	}
}

func (s *size) addText(name string, length int) {
	s.entries++
	s.bytes += len(name) + length
}

// lineLength is that of the body as Loki makes a line of it.
func lineLength(body pcommon.Value) int {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		return len(body.Str())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
		return len(body.AsString())
	default:
		return longNumber
	}
}

// refusable counts what Loki refuses unless its limits were raised: nobody else tells.
func (w *walker) refusable(lr plog.LogRecord, s size) {
	c, line := &w.counts.refusable, lineLength(lr.Body())
	w.costs.records = append(w.costs.records, recordCost+line+s.bytes+s.entries*pairCost)
	if line > maxLine {
		c[limitLine]++
	}
	if s.bytes > maxMetadata {
		c[limitMetadataBytes]++
	}
	if s.entries > maxEntries {
		c[limitMetadataEntries]++
	}
	at := lr.Timestamp()
	if at == 0 {
		at = lr.ObservedTimestamp()
	}
	if at == 0 {
		return
	}
	switch {
	case at < w.oldest:
		c[limitTooOld]++
	case at > w.newest:
		c[limitFuture]++
	}
}
