// Package soak runs all tiers as processes on real backends, does to them what happens to machines and networks, and counts
// what was written against what is stored at the end.
package soak

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Front stands before a real server and plays its bad days: it refuses connections, answers with a status of its own, or
// takes its time. It is a fake, because no real server fails on demand; what it lets through, the server behind it answers.
// It speaks HTTP/1.1 and, without TLS, HTTP/2, which is enough for gRPC: there a status is what a proxy between would say.
type Front struct {
	Addr string

	proxy *httputil.ReverseProxy

	mu      sync.Mutex
	server  *http.Server // nil while it refuses
	trouble Trouble
	refused int
}

// Trouble is what a Front does to a request. The zero value lets it through.
type Trouble struct {
	Status     int           // answered instead of the server's
	RetryAfter time.Duration // said with it, in whole seconds
	Delay      time.Duration // before anything else
	Stuck      bool          // no answer ever
}

// NewFront opens a front at an address that stays its own while it refuses.
func NewFront(listen, target string) (*Front, error) {
	var plain, h2c http.Protocols
	plain.SetHTTP1(true)
	h2c.SetUnencryptedHTTP2(true)
	f := &Front{}
	f.proxy = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})
	f.proxy.Transport = byVersion{
		one: &http.Transport{Protocols: &plain},
		two: &http.Transport{Protocols: &h2c},
	}
	f.proxy.FlushInterval = -1
	f.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	lis, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	f.Addr = lis.Addr().String()
	f.serve(lis)
	return f, nil
}

// byVersion keeps a request's version of HTTP.
type byVersion struct{ one, two http.RoundTripper }

func (b byVersion) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Content-Type") == "application/grpc" {
		return b.two.RoundTrip(r)
	}
	return b.one.RoundTrip(r)
}

func (f *Front) serve(lis net.Listener) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.server = &http.Server{Handler: f, Protocols: &protocols}
	go func(s *http.Server) { _ = s.Serve(lis) }(f.server) // ends with Close
}

// ServeHTTP is for the server inside.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	trouble := f.trouble
	if trouble.Status != 0 {
		f.refused++
	}
	f.mu.Unlock()
	switch {
	case trouble.Stuck:
		<-r.Context().Done()
		return
	case trouble.Delay > 0:
		select {
		case <-time.After(trouble.Delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case trouble.Status != 0:
		if trouble.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(trouble.RetryAfter.Seconds())))
		}
		w.WriteHeader(trouble.Status)
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

// Make sets the trouble, from the next request on.
func (f *Front) Make(t Trouble) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = t
}

// Refuse closes the port and every connection, as of a server that is down.
func (f *Front) Refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		_ = f.server.Close()
		f.server = nil
	}
}

// Heal ends every trouble.
func (f *Front) Heal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = Trouble{}
	if f.server != nil {
		return nil
	}
	lis, err := net.Listen("tcp", f.Addr)
	if err != nil {
		return err
	}
	f.serve(lis)
	return nil
}

// Refused is how many requests got a status of the front's own.
func (f *Front) Refused() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}
