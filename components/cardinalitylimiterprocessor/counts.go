package cardinalitylimiterprocessor

import "github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"

// outcome is what became of a point; metadata.yaml says what each means.
type outcome uint8

const (
	passed outcome = iota
	observed
	replaced
	overflow
	dropped
	outcomes
	// ended is no outcome: a series that ends gives its place back once its end has been delivered.
	ended
)

func (o outcome) String() string {
	return [...]string{"passed", "observed", "replaced", "overflow", "dropped"}[o]
}

// The reasons for drops that are not the fold engine's.
type reason string

const (
	byRule    reason = "rule"
	memory    reason = "memory"
	refused   reason = "refused"
	stale            = reason("stale")
	noStream  reason = "overflow_streams"
	malformed reason = "malformed"
)

// counts are those of one batch: added up in it, handed to the metrics once.
type counts struct {
	outcomes  [outcomes]int
	observed  int
	drops     map[reason]int
	rules     map[ruleOutcome]int
	baselines int
}

type ruleOutcome struct {
	rule    int
	outcome outcome
}

func newCounts() counts { return counts{drops: map[reason]int{}, rules: map[ruleOutcome]int{}} }

func (c *counts) drop(why reason, rule int) {
	c.outcomes[dropped]++
	c.drops[why]++
	c.byRule(rule, dropped, 1)
}

func (c *counts) byRule(rule int, o outcome, n int) {
	if rule >= 0 {
		c.rules[ruleOutcome{rule, o}] += n
	}
}

func (c *counts) reset() {
	clear(c.drops)
	clear(c.rules)
	*c = counts{drops: c.drops, rules: c.rules}
}

func reasonOf(o fold.Outcome) reason { return reason(o.String()) }
