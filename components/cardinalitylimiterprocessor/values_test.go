package cardinalitylimiterprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestValuesKeepTheirPlaceOverARestart(t *testing.T) {
	dir := t.TempDir()
	configure := rules(RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 4})
	r := newRig(t, configure, in(dir))
	for i := range 4 {
		r.send(batch("shop", one("m", user(i))))
	}
	r = r.again(dir, configure)
	r.out.take()
	r.clock.advance(time.Minute)
	for i := range 4 {
		r.send(batch("shop", one("m", user(10+i))))
	}
	for i := range 4 {
		r.send(batch("shop", one("m", user(i))))
	}
	assert.Len(t, unfolded(r.out.take()), 4)
}

func TestValuesOfSeriesThatAreThereCountForANewRule(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(100)))
	for i := range 4 {
		r.send(batch("shop", one("m", user(i))))
	}
	r.out.take()
	r.reload("rules: [{name: v, per: [metric, attribute], max_values: 4}]\n")
	for i := range 4 { // they are seen before others come
		r.clock.advance(time.Minute)
		r.send(batch("shop", one("m", user(i))))
	}
	r.out.take()
	for i := range 4 {
		r.send(batch("shop", one("m", user(10+i))))
	}
	assert.Empty(t, unfolded(r.out.take()))
}
