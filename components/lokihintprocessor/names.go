package lokihintprocessor

// names are the LogQL names that are taken, by id: a record sees what its resource, its scope and itself have.
type names struct {
	marks []uint64
	last  uint64 // given out
	// The marks that count now, by level; 0: none.
	current [levels]uint64
}

type level int

const (
	ofResource level = iota
	ofScope
	ofRecord
	levels
)

// prefix is put before the name of an attribute whose own is taken.
func (l level) prefix() string {
	return [levels]string{"resource_", "scope_", "record_"}[l]
}

// enter starts a level; what was taken on it and below is free.
func (n *names) enter(l level) {
	n.last++
	n.current[l] = n.last
	clear(n.current[l+1:])
}

func (n *names) taken(id int) bool {
	if id >= len(n.marks) || n.marks[id] == 0 {
		return false
	}
	m := n.marks[id]
	return m == n.current[ofResource] || m == n.current[ofScope] || m == n.current[ofRecord]
}

// take returns false when the name is taken on this level or above.
func (n *names) take(l level, id int) bool {
	if n.taken(id) {
		return false
	}
	for id >= len(n.marks) {
		n.marks = append(n.marks, 0)
	}
	n.marks[id] = n.current[l]
	return true
}

func (n *names) free(ids []int) {
	for _, id := range ids {
		n.marks[id] = 0
	}
}

// forget is for when names have new ids.
func (n *names) forget() {
	n.marks = nil
}
