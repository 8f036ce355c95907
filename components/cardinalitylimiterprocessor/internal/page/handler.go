package page

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTop = 20
	maxTop     = 500
	maxFile    = 1 << 20 // of a limits file to simulate
)

// Handler serves the page and its JSON twin. It changes nothing in src. It answers only those who call it by a loopback name, so that
// a web site that gives its own name our address (DNS rebinding) learns nothing; whoever listens must still listen on loopback only.
func Handler(src Source, now func() time.Time) http.Handler {
	s := &server{src: src, now: now}
	routes := map[string]route{
		"/":                {get: s.overview},
		"/explain":         {get: s.explain},
		"/simulate":        {get: s.simulateForm, post: s.simulate},
		"/api/v1/status":   {get: s.apiStatus},
		"/api/v1/explain":  {get: s.apiExplain},
		"/api/v1/simulate": {post: s.apiSimulate},
	}
	// It lets tools without an Origin pass, and refuses browsers that come from another site.
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header(w.Header())
		if !loopback(r.Host) {
			fail(w, r, http.StatusForbidden, "This page answers only to localhost, 127.0.0.1 and [::1]. "+
				"Open it by one of these names; from elsewhere, forward the port (kubectl port-forward or ssh -L).")
			return
		}
		if origin.Check(r) != nil {
			fail(w, r, http.StatusForbidden, "This request was sent by another web site. Open the page itself and send the form from there.")
			return
		}
		to, ok := routes[r.URL.Path]
		if !ok {
			fail(w, r, http.StatusNotFound, "There is no such page. There are /, /explain, /simulate, /api/v1/status, /api/v1/explain and /api/v1/simulate.")
			return
		}
		to.serve(w, r)
	})
}

type server struct {
	src Source
	now func() time.Time
}

type route struct{ get, post http.HandlerFunc }

func (to route) serve(w http.ResponseWriter, r *http.Request) {
	var allow []string
	if to.get != nil {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			to.get(w, r)
			return
		}
		allow = append(allow, "GET", "HEAD")
	}
	if to.post != nil {
		if r.Method == http.MethodPost {
			to.post(w, r)
			return
		}
		allow = append(allow, "POST")
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	fail(w, r, http.StatusMethodNotAllowed, fmt.Sprintf("%s takes %s only.", r.URL.Path, strings.Join(allow, " and ")))
}

// header keeps everything that is not ours out of the page, and the page out of caches and frames.
func header(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // not no-referrer: browsers would then send our own form without its origin
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]")) // an address is not a name: nobody else can point it to us
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// fail answers in the form that was asked for.
func fail(w http.ResponseWriter, r *http.Request, code int, text string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, code, map[string]string{"error": text})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // who asked may be gone
}

// top is how long lists may be; false when the request was answered because it asks for nonsense.
func top(w http.ResponseWriter, r *http.Request) (int, bool) {
	text := r.URL.Query().Get("top")
	if text == "" {
		return defaultTop, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxTop {
		fail(w, r, http.StatusBadRequest, fmt.Sprintf("top must be a number from 1 to %d.", maxTop))
		return 0, false
	}
	return n, true
}

func (s *server) overview(w http.ResponseWriter, r *http.Request) {
	if n, ok := top(w, r); ok {
		s.render(w, r, http.StatusOK, "overview", s.status(n))
	}
}

func (s *server) apiStatus(w http.ResponseWriter, r *http.Request) {
	if n, ok := top(w, r); ok {
		writeJSON(w, http.StatusOK, s.status(n))
	}
}

const unknownMetric = "No series of this metric is counted now. Names are compared as they are, case and dots included; " +
	"a metric is forgotten when all its series were idle for idle_timeout."

func (s *server) explain(w http.ResponseWriter, r *http.Request) {
	n, ok := top(w, r)
	if !ok {
		return
	}
	name := r.URL.Query().Get("metric")
	if name == "" {
		s.render(w, r, http.StatusOK, "explain", explanation{})
		return
	}
	e := s.explanation(name, n)
	code := http.StatusOK
	if len(e.Places) == 0 {
		code = http.StatusNotFound
	}
	s.render(w, r, code, "explain", e)
}

func (s *server) apiExplain(w http.ResponseWriter, r *http.Request) {
	n, ok := top(w, r)
	if !ok {
		return
	}
	name := r.URL.Query().Get("metric")
	if name == "" {
		fail(w, r, http.StatusBadRequest, "Say which metric: /api/v1/explain?metric=NAME. /api/v1/status lists those with most series.")
		return
	}
	e := s.explanation(name, n)
	if len(e.Places) == 0 {
		fail(w, r, http.StatusNotFound, unknownMetric)
		return
	}
	writeJSON(w, http.StatusOK, e)
}

func (s *server) simulateForm(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "simulate", simulationPage{})
}

func (s *server) simulate(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 3*maxFile+1024) // a form may need three bytes for one
	if err := r.ParseForm(); err != nil && !tooLarge(err) {
		fail(w, r, http.StatusBadRequest, "The form is damaged. Open /simulate and send it from there.")
		return
	} else if err != nil || len(r.PostForm.Get("limits")) > maxFile {
		fail(w, r, http.StatusRequestEntityTooLarge, tooLargeText)
		return
	}
	file := strings.ReplaceAll(r.PostForm.Get("limits"), "\r\n", "\n") // forms send these whatever was typed
	page := simulationPage{File: file}
	code := http.StatusOK
	if rules, text := s.simulation([]byte(file)); text != "" {
		page.Error, code = text, http.StatusUnprocessableEntity
	} else {
		page.Done, page.Rules = true, rules
	}
	s.render(w, r, code, "simulate", page)
}

func (s *server) apiSimulate(w http.ResponseWriter, r *http.Request) {
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFile))
	switch {
	case tooLarge(err):
		fail(w, r, http.StatusRequestEntityTooLarge, tooLargeText)
		return
	case err != nil:
		fail(w, r, http.StatusBadRequest, "The request was cut short. Send it again.")
		return
	}
	rules, text := s.simulation(file)
	if text != "" {
		fail(w, r, http.StatusUnprocessableEntity, text)
		return
	}
	writeJSON(w, http.StatusOK, map[string][]simulatedRule{"rules": rules})
}

const tooLargeText = "A limits file may have 1 MiB. Simulate a part of its rules at a time."

func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}

// simulation asks for what the file would do, or why it is refused.
func (s *server) simulation(file []byte) (rules []simulatedRule, refused string) {
	if len(strings.TrimSpace(string(file))) == 0 {
		return nil, "The limits file is empty. It has a list of rules, as in the configuration of the processor."
	}
	found, err := s.src.Simulate(file, defaultTop)
	if err != nil {
		return nil, "The limits file is refused: " + err.Error()
	}
	return simulated(found), ""
}
