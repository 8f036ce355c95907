//go:build e2e

package soak

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// full says whether this is make soak, which takes its time.
func full() bool { return os.Getenv("SLUICE_SOAK_FULL") != "" }

// rounds is how often somebody is killed.
func rounds(t *testing.T) int {
	t.Helper()
	otherwise := "5"
	if full() {
		otherwise = "50"
	}
	n, err := strconv.Atoi(fromEnv("SLUICE_SOAK_ROUNDS", otherwise))
	require.NoError(t, err, "SLUICE_SOAK_ROUNDS")
	return n
}

// calm is how long a round is quiet at most.
func calm() time.Duration {
	if full() {
		return 20 * time.Second // each kill repeats what is on its way: with 8 s here that was up to 1.2 % of the scrapes
	}
	return 2 * time.Second
}

// mostTwice is how many percent may be stored twice. Each kill may repeat what its victim delivered in the last moment: in the short form
// somebody dies every four seconds, and one scrape is 5 % of all.
func mostTwice() float64 {
	if full() {
		return 1
	}
	return 10
}

// Percents that may come twice where samplers die, and where answers get lost: several times what was seen (10 % of 294 spans, 1.1 % of lines).
const sampledTwice, lostAnswers = 30, 10

// seedOf makes a run's choices those of an earlier one. What the clock has a part in stays as it comes.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(fromEnv("SLUICE_SOAK_SEED", strconv.FormatUint(rand.Uint64()%1e6, 10)), 10, 64)
	require.NoError(t, err, "SLUICE_SOAK_SEED")
	t.Logf("SLUICE_SOAK_SEED=%d", n)
	return n
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
