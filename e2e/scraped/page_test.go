package scraped

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The next request of the same connection acknowledges a scrape; a new connection says nothing about an old one.
func TestPageIsAcknowledgedByTheNextScrape(t *testing.T) {
	p := New("scraped_total")
	scrape := func(from string) int {
		r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Code
	}
	scrape("a")
	assert.Empty(t, p.Acknowledged())
	scrape("a")
	assert.Equal(t, []int{1}, p.Acknowledged())
	scrape("b") // a was killed
	scrape("b")
	assert.Equal(t, []int{1, 3}, p.Acknowledged())
	assert.Equal(t, 4, p.Served())
	p.Close()
	assert.Equal(t, http.StatusServiceUnavailable, scrape("b"))
	assert.Equal(t, []int{1, 3}, p.Acknowledged())
}
