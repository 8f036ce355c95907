package seldom

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTell(t *testing.T) {
	now := time.Unix(0, 0)
	s := New[string](time.Minute)
	assert.True(t, s.Tell("a", now))
	assert.True(t, s.Tell("b", now), "of each topic")
	now = now.Add(time.Minute - 1)
	assert.False(t, s.Tell("a", now))
	now = now.Add(1)
	assert.True(t, s.Tell("a", now), "the silence was not made longer")
	assert.False(t, s.Tell("a", now))
}
