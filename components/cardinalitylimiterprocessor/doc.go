// Package cardinalitylimiterprocessor keeps the number of series within budgets: what was admitted stays, what does not fit is folded
// into few streams with correct totals, or dropped and counted.
package cardinalitylimiterprocessor

//go:generate mdatagen metadata.yaml
