package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Round is one thing that happens to a tier, and what else is wrong at that time.
type Round struct {
	Victim string
	// Stop asks the victim with SIGTERM, and nothing else is wrong: it has to end by itself.
	Stop   bool
	Before time.Duration // from the round's beginning to the kill
	Down   time.Duration // until it is started again
	// Again is after how much of the start the victim is killed a second time: while it reads its queue. 0: it is not.
	Again time.Duration
	// Beside is what else is wrong from before the kill until after the start, and with whom. "": nothing.
	Beside, With string
}

func (r Round) String() string {
	signal := "kill -9"
	if r.Stop {
		signal = "SIGTERM"
	}
	text := fmt.Sprintf("%s of %s after %s, down for %s", signal, r.Victim, r.Before, r.Down)
	if r.Again > 0 {
		text += fmt.Sprintf(", killed again %s into its start", r.Again)
	}
	if r.Beside != "" {
		text += fmt.Sprintf(", while %s: %s", r.With, r.Beside)
	}
	return text
}

// Troubles of a backend that delay and do not destroy, and of the network between two tiers.
var (
	backendTroubles = []string{"refuses", "answers 503", "answers 429", "is slow"}
	networkTroubles = []string{"refuses", "stalls"} // stalls last
)

// Cast is who can be hit, and what is behind whom.
type Cast struct {
	Tiers    []string
	Behind   map[string][]string // by tier: backends and networks that it sends to
	Networks map[string]bool     // which of those are networks
	Stalls   bool                // networks may lose every packet: then answers get lost with them, and what they were for comes twice
}

// between is a time of the schedule.
func between(pick *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(pick.Int64N(int64(most-least)))).Round(time.Millisecond)
}

// maxDown is how long who is gone stays away at most.
const maxDown = 1500 * time.Millisecond

// Plan is the schedule of a seed: the same each time for the same cast. The kill comes at most calm after the round has begun.
func Plan(seed uint64, rounds int, calm time.Duration, cast Cast) []Round {
	pick := rand.New(rand.NewPCG(seed, 7))
	plan := make([]Round, rounds)
	victim := inTurns(pick, cast.Tiers)
	for i := range plan {
		r := Round{Victim: victim(), Before: between(pick, calm/4, calm), Down: between(pick, 0, maxDown)}
		if pick.IntN(100) < 40 {
			r.Again = between(pick, time.Millisecond, time.Second)
		}
		// Mostly what the victim sends to: then its queue has something in it when it dies.
		if behind := cast.Behind[r.Victim]; pick.IntN(100) < 80 && len(behind) > 0 {
			r.With = behind[pick.IntN(len(behind))]
			troubles := backendTroubles
			if cast.Networks[r.With] {
				if troubles = networkTroubles; !cast.Stalls {
					troubles = networkTroubles[:1]
				}
			}
			r.Beside = troubles[pick.IntN(len(troubles))]
		}
		plan[i] = r
	}
	return plan
}

// PlanWithStops is Plan's kills with a stop among each four of them. The kills of a seed are the same with and without stops.
func PlanWithStops(seed uint64, kills int, calm time.Duration, cast Cast) []Round {
	pick := rand.New(rand.NewPCG(seed, 13))
	victim := inTurns(pick, cast.Tiers)
	var plan []Round
	for four := range slices.Chunk(Plan(seed, kills, calm, cast), 4) {
		stop := Round{Victim: victim(), Stop: true, Before: between(pick, calm/4, calm), Down: between(pick, 0, maxDown)}
		plan = append(plan, slices.Insert(four, pick.IntN(len(four)+1), stop)...)
	}
	return plan
}

// inTurns gives each of these once before anybody again, so that few rounds hit everybody; the order is chance.
func inTurns(pick *rand.Rand, names []string) func() string {
	var order []int
	return func() string {
		if len(order) == 0 {
			order = pick.Perm(len(names))
		}
		name := names[order[0]]
		order = order[1:]
		return name
	}
}
