package store

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Before a segment with state is removed, what took its place is on the disk: else a power cut could cost both. That a disk is cut off is not played
// here: fsync is, and what was removed before.
func TestSettledBeforeRemoved(t *testing.T) {
	before := fsync
	t.Cleanup(func() { fsync = before })
	var s *Store
	var synced []string
	fail := error(nil)
	fsync = func(f *os.File) error {
		_, err := os.Stat(s.segments[0].name)
		require.NoError(t, err, "the oldest is still there")
		synced = append(synced, f.Name())
		return fail
	}
	s, _ = open(t, t.TempDir())
	write := func(times int) {
		for range times {
			require.NoError(t, s.Apply([]Write{{"offsets", []byte(strings.Repeat("x", 20_000))}}))
		}
	}
	write(50)
	require.Empty(t, synced)
	write(50)
	require.Len(t, s.segments, 1)
	assert.Equal(t, []string{s.segments[0].name}, synced)
	fail = errors.New("broken disk")
	write(100)
	require.ErrorIs(t, s.Stuck(), fail)
	assert.Greater(t, len(s.segments), 1, "nothing is removed")
	fail = nil
	write(1)
	require.NoError(t, s.Stuck())
	assert.Len(t, s.segments, 1)
}
