package soak

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/podlogs"
)

func TestInPieces(t *testing.T) {
	f := func(want []podlogs.ID, lines ...string) {
		t.Helper()
		var stored []backends.LogLine
		now := time.Unix(1, 0)
		for _, l := range lines {
			l, same := strings.CutPrefix(l, "= ")
			if !same {
				now = now.Add(time.Nanosecond)
			}
			parts := strings.SplitN(l, "|", 3)
			stored = append(stored, backends.LogLine{
				Time: now, Labels: map[string]string{"k8s_container_name": "app"},
				Metadata: map[string]string{"log_iostream": parts[0], "containerlog_partial": parts[1]}, Line: parts[2],
			})
		}
		assert.Equal(t, want, inPieces(stored))
	}
	one := []podlogs.ID{{Container: 4, Stream: 0, Number: 59, Bytes: 56}}
	f(nil, "stdout||<<c4 stdout n59 of 56 bytes>> whole")
	f(one, "stdout|timeout|<<c4 stdout n59 o", "stdout|last|f 56 bytes>> alpha")
	f(one, "stdout|timeout|<<c4 stdout n59 o", "stderr||other", "stdout|size|f 5", "stdout|last|6 bytes>> alpha")
	// The agent was killed in between, and no longer knows that the second line is an end.
	f(one, "stdout|timeout|<<c4 stdout n59 o", "stdout||f 56 bytes>> alpha")
	// Of one time, which is what one read of CRI-O's gave, and in the wrong order: the end of a record, whole ones, the beginning of the next one.
	f(one, "stdout|timeout|<<c4 stdout n59 o", "= stdout||<<c4 stdout n58 of 10 bytes>>", "stdout||<<c4 stdout n60 of 10 bytes>>", "= stdout|last|f 56 bytes>> alpha")
	f(one, "stdout|timeout|<<c4 stdout n59 o", "stdout||<<c4 stdout n60 of 10 bytes>>", "= stdout||f 56 bytes>> alpha")
	f(one, "stdout|timeout|<<c4 stdout n59 o", "stdout|timeout|<<c4 std", "= stdout|last|f 56 bytes>> alpha")
	// The end is not there.
	f(nil, "stdout|timeout|<<c4 stdout n59 o")
	f(nil, "stdout|timeout|<<c4 stdout n59 o", "stderr|last|f 56 bytes>> alpha")
	f([]podlogs.ID{{Container: 4, Stream: 0, Number: 60, Bytes: 10}},
		"stdout|timeout|<<c4 stdout n59 o", "stdout||<<c4 stdout n60 of 10 bytes>>", "stdout|last|f 56 bytes>>")
}
