package lokihintprocessor

import (
	"encoding/base64"
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

// size is that of structured metadata: names and values, and how many.
type size struct{ bytes, entries int }

func (s *size) add(name string, v pcommon.Value) {
	s.addNamed(len(name), v)
}

func (s *size) addNamed(name int, v pcommon.Value) {
	if v.Type() == pcommon.ValueTypeMap {
		for raw, inner := range v.Map().All() {
			s.addNamed(name+1+len(raw), inner)
		}
		return
	}
	s.entries++
	s.bytes += name + textLength(v)
}

// textLength is how long a value is as text, about: numbers count for a little.
func textLength(v pcommon.Value) int {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str())
	case pcommon.ValueTypeBytes:
		return base64.StdEncoding.EncodedLen(v.Bytes().Len())
	case pcommon.ValueTypeSlice:
		n := 0
		for _, element := range v.Slice().All() {
			n += textLength(element) + len(`"",`)
		}
		return n
	case pcommon.ValueTypeMap:
		n := 0
		for raw, member := range v.Map().All() {
			n += len(raw) + textLength(member) + len(`"":"",`)
		}
		return n
	default:
		return 8
	}
}

func (s *size) addText(name string, length int) {
	s.entries++
	s.bytes += len(name) + length
}

// refusable counts what Loki refuses unless its limits were raised: nobody else tells.
func (w *walker) refusable(lr plog.LogRecord, s size) {
	c, line := &w.counts.refusable, textLength(lr.Body())
	cost := recordCost + line + s.bytes + s.entries*pairCost
	if s.bytes > maxMetadata || s.entries > maxEntries {
		cost = recordCost + line // Loki throws it away before it counts
	}
	w.costs.records = append(w.costs.records, cost)
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
