package backends

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExportWithGaps(t *testing.T) {
	s, err := parseExport([]byte(`{"metric":{"__name__":"up","path":"/NaN?\"values\":[NaN]"},"values":[NaN,1,NaN,2.5],"timestamps":[10,20,30,40]}`))
	require.NoError(t, err)
	assert.Equal(t, StoredSeries{
		Metric: map[string]string{"__name__": "up", "path": `/NaN?"values":[NaN]`}, Values: []float64{1, 2.5}, Timestamps: []int64{20, 40},
	}, s)
	_, err = parseExport([]byte(`Not found`))
	assert.Error(t, err)
}
