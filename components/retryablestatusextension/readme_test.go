package retryablestatusextension

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's example is valid, and names the metric that there is.
func TestReadme(t *testing.T) {
	readme.Example(t, "extensions::retryable_status", NewFactory().CreateDefaultConfig())
	for name := range readme.Metrics(t, "") {
		assert.Contains(t, readme.Text(t), "`otelcol_"+name+"{status}`")
	}
}

// README.md's table says of each status, and of each code, what becomes of it.
func TestReadmeAnswers(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| (503|UNAVAILABLE|stays final)[,: |].*$`).FindAllStringSubmatch(readme.Text(t), -1)
	require.Len(t, rows, 3)
	waits, final := rows[0][1]+", "+rows[1][1], rows[2][1]
	assert.Equal(t, []string{"503", "UNAVAILABLE", "stays final"}, []string{rows[0][2], rows[1][2], rows[2][2]})
	for code := 400; code < 600; code++ {
		if http.StatusText(code) != "" {
			assert.Equal(t, httpWaits(code), says(waits, strconv.Itoa(code)), code)
		}
	}
	for _, code := range regexp.MustCompile(`\d{3}`).FindAllString(final, -1) {
		n, err := strconv.Atoi(code)
		require.NoError(t, err)
		assert.False(t, httpWaits(n), code)
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		// Internal is in both rows: what it is decides its message.
		assert.Equal(t, grpcWaits(status.New(code, "")) || grpcWaits(status.New(code, "RST_STREAM")), says(waits, code.String()), code)
	}
}

// says is whether a list has a word.
func says(list, word string) bool {
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		if item == word {
			return true
		}
	}
	return false
}
