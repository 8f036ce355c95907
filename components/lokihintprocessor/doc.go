// Package lokihintprocessor makes the labels that Loki gives to OTLP logs those that were declared, keeps their number within budgets, and mends
// what Loki would refuse.
package lokihintprocessor

//go:generate mdatagen metadata.yaml
