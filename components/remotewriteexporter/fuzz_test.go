package remotewriteexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Whatever decodes as metrics, from a sender or from the disk, is cleaned, cut and converted without a panic, and every point is accounted for.
func FuzzConvert(f *testing.F) {
	marshaler := &pmetric.ProtoMarshaler{}
	for _, md := range []pmetric.Metrics{every(2), gauge(3)} {
		seed, err := marshaler.MarshalMetrics(md)
		require.NoError(f, err)
		f.Add(seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		if err != nil {
			return
		}
		c := newCleaner(true)
		clean, found := c.clean(md)
		left := 0
		for _, points := range found.points {
			left += points
		}
		require.Equal(t, md.DataPointCount(), clean.DataPointCount()+left)
		require.True(t, c.fine(clean))
		sum := 0
		for _, piece := range parts(clean, int(n)) {
			sum += piece.DataPointCount()
			for _, v2 := range []bool{false, true} {
				msg, _, problems := (&converter{v2: v2}).convert(piece)
				require.Empty(t, problems)
				_, err := encode(msg, msg.Size())
				require.NoError(t, err)
			}
		}
		require.Equal(t, clean.DataPointCount(), sum)
	})
}
