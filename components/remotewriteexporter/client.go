package remotewriteexporter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// client sends requests over HTTP.
type client struct {
	http      *http.Client
	endpoint  string
	userAgent string
	v2        bool
}

func (c *client) start(ctx context.Context, host component.Host, set component.TelemetrySettings, cfg *Config) (err error) {
	plain := cfg.ClientConfig
	plain.Compression = "" // the body is compressed already
	if c.http, err = plain.ToClient(ctx, host.GetExtensions(), set); err != nil {
		return err
	}
	// Headers and authenticators would hand the credentials to whatever host a redirect names.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return nil
}

// send returns the backend's answer, or an error when there is none.
func (c *client) send(ctx context.Context, body []byte) (answer.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return answer.Answer{}, err
	}
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("User-Agent", c.userAgent)
	if c.v2 {
		req.Header.Set("Content-Type", "application/x-protobuf;proto="+messageV2)
		req.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	} else {
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer.Answer{}, withoutURL(err)
	}
	defer resp.Body.Close()
	a := answer.Read(resp, time.Now())
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // the connection is only used again when its answer was read
	return a, nil
}

// withoutURL keeps what an address may carry, such as a token, out of logs and errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
