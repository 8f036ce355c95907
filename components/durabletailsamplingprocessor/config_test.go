package durabletailsamplingprocessor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigErrors(t *testing.T) {
	_, err := config(t, shippedLike)
	require.NoError(t, err)
	f := func(old, changed, want string) {
		t.Helper()
		yaml := strings.Replace(shippedLike, old, changed, 1)
		require.NotEqual(t, shippedLike, yaml)
		_, err := config(t, yaml)
		assert.EqualError(t, err, want)
	}
	f("{storage: durable_storage}", "{}", "journal: storage: must be a storage extension, got none; without a journal use tail_sampling")
	f("{storage: durable_storage}", "{storage: durable_storage, max_bytes: 0}", "journal: max_bytes: must be positive, got 0")
	f("block_on_overflow: true", "block_on_overflow: false", "block_on_overflow: must be true, got false: traces would be dropped undecided")
	f("{sampled_cache_size: 100000,", "{sampled_cache_size: 0,", "decision_cache::sampled_cache_size: must be positive, got 0: the journal learns of decisions from it")
	f("non_sampled_cache_size: 100000}", "non_sampled_cache_size: 0}", "decision_cache::non_sampled_cache_size: must be positive, got 0: the journal learns of decisions from it")
	f("decision_wait: 5s", "decision_wait: 5s\ndecision_wait_after_root_received: 1s", "decision_wait_after_root_received: must be 0, got 1s: traces would be decided out of order")
	f("decision_wait: 5s", "maximum_trace_size_bytes: 1", "maximum_trace_size_bytes: must be 0, got 1: traces would be decided out of order")
	f("decision_wait: 5s", "drop_pending_traces_on_shutdown: true", "drop_pending_traces_on_shutdown: must be false, got true; use journal::keep_on_shutdown")
}
