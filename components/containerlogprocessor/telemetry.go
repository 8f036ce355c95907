package containerlogprocessor

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
	"github.com/sluice-otel/sluice/components/internal/seldom"
)

// outcome is what became of a record's lines; metadata.yaml says what each means.
type outcome uint8

const (
	complete outcome = iota
	joined
	piece
	malformed
)

func (o outcome) String() string { return [...]string{"complete", "joined", "piece", "malformed"}[o] }

// origin is why a line came twice.
type origin uint8

const (
	replayed origin = iota
	retried
)

func (o origin) String() string { return [...]string{"replay", "retry"}[o] }

// The sizes of the tables below.
const (
	formats  = int(line.Docker) + 1
	streams  = int(line.Stderr) + 1
	outcomes = int(malformed) + 1
	origins  = int(retried) + 1
	reasons  = 16 // room for line.Reasons; newTelemetry would panic on more
)

type recordKind struct {
	format  line.Format
	stream  line.Stream
	outcome outcome
}

func (k recordKind) index() int {
	return (int(k.format)*streams+int(k.stream))*outcomes + int(k.outcome)
}

// counts are those of one batch: added up in it, handed to the metrics once.
type counts struct {
	records    [formats * streams * outcomes]int
	malformed  [reasons]int
	duplicates [origins]int
	sizeCuts   int
	fragments  int
	invalid    int
	nuls       int
}

// telemetry has the metrics with their attribute sets made beforehand, and the logs that must not repeat.
type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder

	records    [formats * streams * outcomes]metric.AddOption
	malformed  [reasons]metric.AddOption
	duplicates [origins]metric.AddOption

	told *seldom.Teller[string]
}

func newTelemetry(set component.TelemetrySettings, p *containerlog) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{logger: set.Logger, builder: builder, told: seldom.New[string](time.Minute)}
	for f := range formats {
		for s := range streams {
			for o := range outcomes {
				k := recordKind{line.Format(f), line.Stream(s), outcome(o)}
				stream := k.stream.String()
				if stream == "" {
					stream = "unknown"
				}
				t.records[k.index()] = with("format", k.format.String(), "stream", stream, "outcome", k.outcome.String())
			}
		}
	}
	for _, r := range line.Reasons() {
		t.malformed[r] = with("reason", r.String())
	}
	for o := range origins {
		t.duplicates[o] = with("origin", origin(o).String())
	}
	return t, errors.Join(
		builder.RegisterProcessorContainerlogHeldBytesCallback(gauge(func() int64 { return p.heldBytes.Load() })),
		builder.RegisterProcessorContainerlogHeldRecordsCallback(gauge(func() int64 { return p.heldRecords.Load() })),
		builder.RegisterProcessorContainerlogCachedFilesCallback(gauge(func() int64 { return int64(p.files.len()) })),
	)
}

func with(pairs ...string) metric.AddOption {
	attrs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

func gauge(value func() int64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(value())
		return nil
	}
}

// add hands a batch's counts on.
func (t *telemetry) add(c *counts) {
	ctx := context.Background()
	for i, n := range c.records {
		if n > 0 {
			t.builder.ProcessorContainerlogRecords.Add(ctx, int64(n), t.records[i])
		}
	}
	for i, n := range c.malformed {
		if n > 0 {
			t.builder.ProcessorContainerlogMalformed.Add(ctx, int64(n), t.malformed[i])
		}
	}
	for i, n := range c.duplicates {
		if n > 0 {
			t.builder.ProcessorContainerlogDuplicates.Add(ctx, int64(n), t.duplicates[i])
		}
	}
	if c.sizeCuts > 0 {
		t.forced(partialSize, c.sizeCuts)
	}
	if c.fragments > 0 {
		t.builder.ProcessorContainerlogFragments.Add(ctx, int64(c.fragments))
	}
	if c.invalid > 0 {
		t.builder.ProcessorContainerlogInvalidUtf8.Add(ctx, int64(c.invalid))
	}
	if c.nuls > 0 {
		t.builder.ProcessorContainerlogNulBytes.Add(ctx, int64(c.nuls))
	}
}

func (t *telemetry) forced(cause string, n int) {
	t.builder.ProcessorContainerlogForcedFlushes.Add(context.Background(), int64(n), with("cause", cause))
}

func (t *telemetry) evictions(n int) {
	t.builder.ProcessorContainerlogCacheEvictions.Add(context.Background(), int64(n))
}

func (t *telemetry) rotationWait(result string) {
	t.builder.ProcessorContainerlogRotationWaits.Add(context.Background(), 1, with("result", result))
}

func (t *telemetry) lag(d time.Duration) {
	t.builder.ProcessorContainerlogLag.Record(context.Background(), d.Seconds())
}

func (t *telemetry) refused(err error) {
	t.builder.ProcessorContainerlogRefusals.Add(context.Background(), 1)
	if t.quiet("refused") {
		return
	}
	t.logger.Warn("the next component refuses records; they are kept and tried again, and their files are not read on", zap.Error(err))
}

func (t *telemetry) dropped(records int, why string, err error) {
	t.builder.ProcessorContainerlogDroppedRecords.Add(context.Background(), int64(records))
	t.logger.Error(why, zap.Int("records_lost", records), zap.Error(err))
}

func (t *telemetry) storedBatch() {
	t.builder.ProcessorContainerlogStoredBatches.Add(context.Background(), 1)
}

func (t *telemetry) storageError(operation string, err error) {
	t.builder.ProcessorContainerlogStorageErrors.Add(context.Background(), 1, with("operation", operation))
	if t.quiet("storage " + operation) {
		return
	}
	t.logger.Error("the storage extension failed; see whether its directory is writable and the disk has room",
		zap.String("operation", operation), zap.Error(err))
}

func (t *telemetry) warnMalformed(reason line.Reason, path string, offset int64) {
	if t.quiet("malformed " + reason.String()) {
		return
	}
	// Not the line itself: nobody has removed its secrets yet.
	t.logger.Warn("a line cannot be read as a container log line; it is delivered raw (told once a minute for each reason, "+
		"counted by otelcol_processor_containerlog_malformed)",
		zap.String("reason", reason.String()), zap.String(filePath, path), zap.Int64(recordOffset, offset))
}

func (t *telemetry) warn(topic, message, path string, err error) {
	if t.quiet(topic) {
		return
	}
	t.logger.Warn(message+" (told once a minute)", zap.String(filePath, path), zap.Error(err))
}

// quiet tells whether the topic, one of a closed set, has been logged within the last minute.
func (t *telemetry) quiet(topic string) bool { return !t.told.Tell(topic, time.Now()) }

func (t *telemetry) shutdown() { t.builder.Shutdown() }
