//go:build e2e

package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// cast is who is hit in the tests of this package.
var cast = Cast{
	Tiers: []string{agentTier, gateway0, gateway1, scraperTier},
	Behind: map[string][]string{
		agentTier: {gatewayNet}, scraperTier: {victoriaName},
		gateway0: {behindGateways, behindGateways, behindGateways, samplingNet0}, gateway1: {behindGateways, behindGateways, behindGateways, samplingNet1},
		sampling0: {jaegerName, samplingNet0, gatewayNet}, sampling1: {jaegerName, samplingNet1, gatewayNet},
	},
	Networks: map[string]bool{gatewayNet: true, samplingNet0: true, samplingNet1: true},
}

// behindGateways is both of Prometheus and Loki: of two gateways only one has the agent's connection for a signal, and which one is chance.
const behindGateways = "Prometheus and Loki"

var allBackends = []string{prometheusName, lokiName, jaegerName, victoriaName}

// Whoever is killed, whatever else is wrong at the time, or asked to stop: what was acknowledged is stored.
func TestKill(t *testing.T) {
	r := startRig(t, shipped(), nil)
	r.write()
	r.kill(PlanWithStops(r.seed, rounds(t), calm(), cast))
	r.assertWhole(r.settle(), mostTwice(), mostTwice())
}

// Samplers are killed, and packets get lost before them. Their journal has traces for a while after their decision, and after a kill they come again: how many depends on how
// many requests come. A lost packet may have been an answer.
func TestKillSampling(t *testing.T) {
	r := startRig(t, shipped(), nil)
	r.write()
	samplers := cast
	samplers.Tiers, samplers.Stalls = []string{sampling0, sampling1}, true
	r.kill(PlanWithStops(r.seed, max(rounds(t)/2, 2), calm(), samplers))
	r.assertWhole(r.settle(), sampledTwice, lostAnswers)
}

// kill follows a plan, and rotates a third of the log files in each round: a file is rotated no sooner than three rounds later,
// as no kubelet would do it sooner.
func (r *rig) kill(plan []Round) {
	r.t.Helper()
	for i, round := range plan {
		r.note("round %d: %s", i, round)
		for c := i % 3; c < r.writers.fleet.Len(); c += 3 {
			if err := r.writers.fleet.Rotate(c); err != nil {
				r.t.Fatal(err)
			}
		}
		if round.Beside != "" {
			r.make(round.With, round.Beside)
		}
		time.Sleep(round.Before)
		r.hit(round)
		if round.Beside != "" {
			time.Sleep(time.Second)
			r.heal(round.With)
		}
	}
	time.Sleep(2 * time.Second)
}

func (r *rig) hit(round Round) {
	r.t.Helper()
	c := r.collectors[round.Victim]
	if round.Stop {
		c.Stop(r.t)
	} else {
		c.Kill()
	}
	r.note("%s is gone", round.Victim)
	time.Sleep(round.Down)
	if round.Again > 0 {
		c.Launch(r.t)
		time.Sleep(round.Again)
		c.Kill()
		r.note("%s is gone again", round.Victim)
	}
	r.restart(round.Victim)
}

// The same kills on what the field runs: for the table, and to see that the rig finds what is lost. Which signal it is is chance: each kill loses what one
// tier has in memory.
func TestKillStock(t *testing.T) {
	r := startRig(t, stock(), nil)
	r.write()
	r.kill(Plan(r.seed, rounds(t), calm(), cast))
	lost := 0
	for _, y := range r.settle().Tallies {
		lost += y.Lost
	}
	assert.Positive(t, lost, "the stock shape loses nothing any more, or the rig finds nothing")
}
