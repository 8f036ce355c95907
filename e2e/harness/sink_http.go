package harness

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// message is an OTLP request or answer.
type message interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

// serveHTTP takes the three signals under any prefix, because backends have prefixes (Loki's is /otlp).
func (s *Sink) serveHTTP(w http.ResponseWriter, req *http.Request) {
	r := &Request{
		Protocol: "http", Path: req.URL.Path, Header: req.Header.Clone(), Client: req.RemoteAddr, Time: time.Now(),
	}
	contentType, body, err := readBody(req)
	r.Bytes = len(body)
	answer, store := s.decode(r, contentType, body, &err)
	if err != nil {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.rejected++
		s.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := s.receive(req.Context(), r, store)
	if f != nil {
		s.refuseHTTP(w, r, contentType, f)
		return
	}
	out, err := encode(contentType, answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(out)
}

// decode fills in what the request holds, and returns the empty answer and how to store the data. It does nothing after
// an earlier error.
func (s *Sink) decode(r *Request, contentType string, body []byte, err *error) (answer message, store func()) {
	if *err != nil {
		return nil, nil
	}
	switch path.Base(r.Path) {
	case "logs":
		m := plogotlp.NewExportRequest()
		*err = unmarshal(contentType, body, m)
		r.Signal, r.Items = "logs", m.Logs().LogRecordCount()
		return plogotlp.NewExportResponse(), func() { s.logs.add(m.Logs()) }
	case "traces":
		m := ptraceotlp.NewExportRequest()
		*err = unmarshal(contentType, body, m)
		r.Signal, r.Items = "traces", m.Traces().SpanCount()
		return ptraceotlp.NewExportResponse(), func() { s.traces.add(m.Traces()) }
	case "metrics":
		m := pmetricotlp.NewExportRequest()
		*err = unmarshal(contentType, body, m)
		r.Signal, r.Items = "metrics", m.Metrics().DataPointCount()
		return pmetricotlp.NewExportResponse(), func() { s.metrics.add(m.Metrics()) }
	}
	*err = fmt.Errorf("no signal has the path %s", r.Path)
	return nil, nil
}

func (s *Sink) refuseHTTP(w http.ResponseWriter, r *Request, contentType string, f *failure) {
	if f.cut {
		s.httpLis.cut(r.Client)
		panic(http.ErrAbortHandler) // the server's way of not answering
	}
	st := f.grpcStatus().Proto()
	marshal := proto.Marshal
	if contentType == typeJSON {
		marshal = protojson.Marshal
	}
	body, err := marshal(st)
	if err != nil {
		body = []byte(err.Error())
	}
	w.Header().Set("Content-Type", contentType)
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", f.retryAfterHeader())
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}

func readBody(req *http.Request) (contentType string, body []byte, err error) {
	if req.Method != http.MethodPost {
		return "", nil, fmt.Errorf("method %s, not POST", req.Method)
	}
	contentType, _, err = mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return "", nil, fmt.Errorf("content type: %w", err)
	}
	in := io.Reader(req.Body)
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity", "none":
	case "gzip":
		in, err = gzip.NewReader(req.Body)
	case "zlib", "deflate": // confighttp writes zlib under both names
		in, err = zlib.NewReader(req.Body)
	default:
		return "", nil, fmt.Errorf("the sink cannot read content encoding %s", encoding)
	}
	if err != nil {
		return "", nil, err
	}
	body, err = io.ReadAll(in)
	return contentType, body, err
}

func unmarshal(contentType string, body []byte, m message) error {
	switch contentType {
	case typeProto:
		return m.UnmarshalProto(body)
	case typeJSON:
		return m.UnmarshalJSON(body)
	}
	return fmt.Errorf("content type %s", contentType)
}

func encode(contentType string, m message) ([]byte, error) {
	if contentType == typeJSON {
		return m.MarshalJSON()
	}
	return m.MarshalProto()
}
