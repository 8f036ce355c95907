package lokihintprocessor

// mend is what was wrong with an attribute.
type mend int

const (
	mendKey mend = iota
	mendUTF8
	mendClash
	mendMany
	numMends
)

func (m mend) String() string { return [numMends]string{"key", "utf8", "clash", "many"}[m] }

// action is what became of a hint.
type action int

const (
	hintStripped action = iota
	hintHonored
	numActions
)

func (a action) String() string { return [numActions]string{"stripped", "honored"}[a] }

// limit is one of Loki's.
type limit int

const (
	limitLine limit = iota
	limitMetadataBytes
	limitMetadataEntries
	limitTooOld
	limitFuture
	numLimits
)

func (l limit) String() string {
	return [numLimits]string{"line", "metadata_bytes", "metadata_entries", "too_old", "future"}[l]
}

// counts are of one batch.
type counts struct {
	demoted        [][numReasons]int // by label
	mended         [numMends]int
	hints          [numActions]int
	refusable      [numLimits]int
	newStreams     int
	invalidTenants int
}

func newCounts(labels int) counts {
	return counts{demoted: make([][numReasons]int, labels)}
}

// demote counts the labels that so many records do without.
func (c *counts) demote(choice *choice, records int) {
	for i, r := range choice.reasons {
		if r != admitted {
			c.demoted[i][r] += records
		}
	}
}

func (c *counts) reset() {
	clear(c.demoted)
	*c = counts{demoted: c.demoted}
}
