// Package scraped is a page of metrics whose samples can be counted: whoever scrapes it gets other values each time.
package scraped

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Series is how many counters a page has.
const Series = 20

// Page is an application that is scraped. Each scrape finds its counters one higher. Nobody tells the application what became of
// a scrape; but the scraper asks again only when it has given the last one away, so that its next request acknowledges it.
type Page struct {
	metric string

	mu     sync.Mutex
	closed bool
	served int
	unsure map[int]string // number: client whose last scrape it is
	last   map[string]int // client: number
}

// New is a page of counters of this name, which the label writer tells apart.
func New(metric string) *Page {
	return &Page{metric: metric, unsure: map[int]string{}, last: map[string]int{}}
}

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.served++
	n := p.served
	// A new connection is a new scraper, or may be.
	if before, ok := p.last[r.RemoteAddr]; ok {
		delete(p.unsure, before)
	}
	p.last[r.RemoteAddr] = n
	p.unsure[n] = r.RemoteAddr
	p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE %s counter\n", p.metric)
	for i := range Series {
		fmt.Fprintf(&b, "%s{writer=\"%d\"} %d\n", p.metric, i, n)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = w.Write([]byte(b.String()))
}

// Close gives no samples any more. Whether the last ones were taken stays open.
func (p *Page) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// Served is how many scrapes were answered; each had as many samples as the page has series.
func (p *Page) Served() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}

// Acknowledged are the scrapes, by their value, that a scraper has given away.
func (p *Page) Acknowledged() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var acked []int
	for n := 1; n <= p.served; n++ {
		if _, unsure := p.unsure[n]; !unsure {
			acked = append(acked, n)
		}
	}
	return acked
}
