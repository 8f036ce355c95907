// Package seldom keeps a log from saying the same with every record.
package seldom

import (
	"sync"
	"time"
)

// Teller knows when it told of a topic. Topics must be few: it forgets none. It may be used concurrently.
type Teller[T comparable] struct {
	every time.Duration

	mu   sync.Mutex
	told map[T]time.Time
}

// New makes a teller that tells of each topic once in a time.
func New[T comparable](every time.Duration) *Teller[T] {
	return &Teller[T]{every: every, told: map[T]time.Time{}}
}

// Tell says whether to tell of a topic now.
func (t *Teller[T]) Tell(topic T, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.told[topic]; ok && now.Sub(last) < t.every {
		return false
	}
	t.told[topic] = now
	return true
}
