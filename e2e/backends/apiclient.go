package backends

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

const mergePatch = "application/merge-patch+json"

// apiClient speaks to the API server with a client certificate. The helpers use it where one more kubectl process
// for each object would make a test with many pods slow.
type apiClient struct {
	url  string
	http http.Client
}

func newAPIClient(tb testing.TB, url string, ca *pki, user string) *apiClient {
	tb.Helper()
	cert, err := tls.LoadX509KeyPair(ca.file(user+".crt"), ca.file(user+".key"))
	must(tb, err)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots}}
	tb.Cleanup(transport.CloseIdleConnections)
	return &apiClient{url: url, http: http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// do returns the body of the answer, and an error unless the status is 2xx.
func (c *apiClient) do(method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	return send(&c.http, req)
}

// json sends an object and returns the answered one.
func (c *apiClient) json(tb testing.TB, method, path, contentType string, object any) map[string]any {
	tb.Helper()
	body, err := json.Marshal(object)
	must(tb, err)
	answer, err := c.do(method, path, contentType, body)
	must(tb, err)
	var got map[string]any
	must(tb, json.Unmarshal(answer, &got))
	return got
}

// apply makes an object, or leaves one that is already like that.
func (c *apiClient) apply(tb testing.TB, path string, object any) map[string]any {
	tb.Helper()
	return c.json(tb, "PATCH", path+"?fieldManager=sluice-test&force=true", "application/apply-patch+yaml", object)
}

func send(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, body)
	}
	return body, nil
}
