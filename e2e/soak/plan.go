package soak

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Round is one thing that happens to a tier, and what else is wrong at that time.
type Round struct {
	Victim string
	Before time.Duration // from the round's beginning to the kill
	Down   time.Duration // until it is started again
	// Again is after how much of the start the victim is killed a second time: while it reads its queue. 0: it is not.
	Again time.Duration
	// Beside is what else is wrong from before the kill until after the start, and with whom. "": nothing.
	Beside, With string
}

func (r Round) String() string {
	text := fmt.Sprintf("kill -9 of %s after %s, down for %s", r.Victim, r.Before, r.Down)
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

// Plan is the schedule of a seed: the same each time for the same cast. The kill comes at most calm after the round has begun.
func Plan(seed uint64, rounds int, calm time.Duration, cast Cast) []Round {
	pick := rand.New(rand.NewPCG(seed, 7))
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(pick.Int64N(int64(most-least)))).Round(time.Millisecond)
	}
	plan := make([]Round, rounds)
	var order []int
	for i := range plan {
		// In turns, so that few rounds hit everybody; the order is chance.
		if len(order) == 0 {
			order = pick.Perm(len(cast.Tiers))
		}
		r := Round{
			Victim: cast.Tiers[order[0]],
			Before: between(calm/4, calm), Down: between(0, 1500*time.Millisecond),
		}
		order = order[1:]
		if pick.IntN(100) < 40 {
			r.Again = between(time.Millisecond, time.Second)
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
