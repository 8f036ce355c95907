package soak

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// pageSeries is how many counters a scraped page, and a pushed request, has.
const pageSeries = 20

// key is a sample: the writer's number, which is a label, and the value, which is a sequence number.
type key struct{ writer, number int }

func (k key) String() string { return fmt.Sprintf("writer %d, value %d", k.writer, k.number) }

// page is an application that is scraped. Each scrape finds its counters one higher. Nobody tells the application what became of
// a scrape; but the scraper asks again only when it has given the last one away, so that its next request acknowledges it.
type page struct {
	mu      sync.Mutex
	closed  bool
	served  int
	unsure  map[int]string // number: client whose last scrape it is
	last    map[string]int // client: number
	answers *http.Server
}

func servePage(lis net.Listener) *page {
	p := &page{unsure: map[int]string{}, last: map[string]int{}}
	p.answers = &http.Server{Handler: p}
	go func() { _ = p.answers.Serve(lis) }()
	return p
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	b.WriteString("# TYPE soak_scraped_total counter\n")
	for i := range pageSeries {
		fmt.Fprintf(&b, "soak_scraped_total{writer=\"%d\"} %d\n", i, n)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = w.Write([]byte(b.String()))
}

// close gives no samples any more. Whether the last ones were taken stays open.
func (p *page) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// written is how many samples were served.
func (p *page) written() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served * pageSeries
}

// acknowledged are the samples that a scraper has given away.
func (p *page) acknowledged() map[key]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	acked := make(map[key]struct{}, p.served*pageSeries)
	for n := 1; n <= p.served; n++ {
		if _, unsure := p.unsure[n]; unsure {
			continue
		}
		for i := range pageSeries {
			acked[key{i, n}] = struct{}{}
		}
	}
	return acked
}
