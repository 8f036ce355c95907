//go:build race

package cardinalitylimiterprocessor

const underRace = true
