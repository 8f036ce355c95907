package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// lokiServer is a running Loki.
type lokiServer struct {
	base     *url.URL
	header   http.Header
	patience time.Duration
}

// refusalError is Loki's answer to a record that it does not want.
type refusalError struct{ text string }

func (e *refusalError) Error() string { return e.text }

// push sends logs as the collector's exporter does.
func (s *lokiServer) push(ctx context.Context, ld plog.Logs) error {
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		return err
	}
	address := s.base.JoinPath("otlp", "v1", "logs")
	code, answer, err := s.do(ctx, http.MethodPost, address, body)
	switch {
	case err != nil:
		return err
	case code == http.StatusBadRequest, code == http.StatusUnprocessableEntity:
		return &refusalError{message(answer)}
	case code == http.StatusNotFound:
		return fmt.Errorf("%s: 404: --loki must be the base address of a Loki 3 (or of the gateway before it), which takes OTLP", address.Redacted())
	case code < 200 || code > 299 || code == 260: // 260: the tenant is blocked, and the record thrown away
		return fmt.Errorf("%s: %d %s%s", address.Redacted(), code, message(answer), advice(code))
	}
	return nil
}

func advice(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": set --tenant, or --header Authorization=…"
	case http.StatusTooManyRequests:
		return ": the tenant is at a limit; try again later"
	}
	return ""
}

// message is the text of an answer, which is a status of gRPC or plain text.
func message(answer []byte) string {
	var s status.Status
	if proto.Unmarshal(answer, &s) == nil && s.GetMessage() != "" && utf8.ValidString(s.GetMessage()) {
		return s.GetMessage()
	}
	return strings.TrimSpace(string(answer))
}

// series are the streams of a service that have a line of a moment. They are asked for until there is one.
func (s *lokiServer) series(ctx context.Context, service string, at time.Time) ([]map[string]string, error) {
	address := s.base.JoinPath("loki", "api", "v1", "series")
	address.RawQuery = url.Values{
		"match[]": {fmt.Sprintf("{%s=%q}", config.ServiceLabel, service)},
		"start":   {strconv.FormatInt(at.UnixNano(), 10)},
		"end":     {strconv.FormatInt(at.Add(time.Millisecond).UnixNano(), 10)},
	}.Encode()
	for answered := false; ; answered = true {
		code, answer, err := s.do(ctx, http.MethodGet, address, nil)
		if answered && errors.Is(err, context.DeadlineExceeded) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if code != http.StatusOK {
			return nil, fmt.Errorf("%s: %d %s%s", s.base.JoinPath("loki", "api", "v1", "series").Redacted(), code, message(answer), advice(code))
		}
		var result struct{ Data []map[string]string }
		if err = json.Unmarshal(answer, &result); err != nil {
			return nil, fmt.Errorf("%s: no answer of Loki: %w", address.Redacted(), err)
		}
		if len(result.Data) > 0 {
			return result.Data, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

func (s *lokiServer) do(ctx context.Context, method string, address *url.URL, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = s.header.Clone()
	if body != nil {
		request.Header.Set("Content-Type", "application/x-protobuf")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("--loki must be the address of a running Loki: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, answer, err
}
