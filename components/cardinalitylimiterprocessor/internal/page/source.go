package page

import (
	"time"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// Source is what the page shows. Each call is a consistent picture; two calls may be of different moments.
type Source interface {
	// Report has the top ones of each list; top is 1 or more.
	Report(top int) limit.Report
	// Explain gives the places of a metric, none when it is not known, and the budgets they charge.
	Explain(metric string, top int) ([]limit.MetricReport, []limit.BudgetReport)
	// Simulate tells what a limits file would do. The error says, for people, why the file is refused.
	Simulate(limitsFile []byte, top int) ([]limit.Simulation, error)
	Folds() Folds
}

// Folds is what became of the points, and how the processor is.
type Folds struct {
	Streams, MaxStreams int // overflow streams
	Members             int // series that are in one
	Bytes, MaxBytes     int // of streams and members

	Points  map[string]int64 // by outcome: passed, observed, overflow, replaced, dropped
	Dropped map[string]int64 // by reason

	LimitsFile   string // empty: the rules are in the collector's configuration
	LimitsError  string // why the file as it is now is refused; what was loaded before still holds
	LimitsLoaded time.Time

	Snapshot      time.Time // when the last one was stored
	SnapshotError string    // why storing or loading the last one failed

	Learning bool
	Started  time.Time
}
