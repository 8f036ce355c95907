package store

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// syncing is a file system that says what is brought to the disk.
type syncing struct {
	fileSystem
	sync func(name string) error
}

type syncingFile struct {
	File
	name string
	on   *syncing
}

func (d *syncing) Open(name string, flag int) (File, error) {
	f, err := d.fileSystem.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return syncingFile{f, name, d}, nil
}

func (f syncingFile) Sync() error { return f.on.sync(f.name) }

// Before a segment with state is removed, what took its place is on the disk: else a power cut could cost both. No disk is cut off here: what is synced is
// held against what is there.
func TestSettledBeforeRemoved(t *testing.T) {
	var s *Store
	var synced []string
	fail := error(nil)
	disk := &syncing{sync: func(name string) error {
		_, err := os.Stat(s.segments[0].name)
		require.NoError(t, err, "the oldest is still there")
		synced = append(synced, name)
		return fail
	}}
	s, _, err := Open(t.TempDir(), Options{Disk: disk})
	require.NoError(t, err)
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
	require.NoError(t, s.Close())
}
