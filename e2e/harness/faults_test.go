package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-otel/sluice/e2e/proc"
)

var one = Logs(Log{Body: "one"})

func (c *Client) overGRPC() bool { return c.conn != nil }

func TestRefuse(t *testing.T) {
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		require.NoError(t, client.SendLogs(one), "opens the connection that Refuse must close")
		sink.Refuse()
		var err error
		proc.Eventually(t, 5*time.Second, func() error { // the first may still meet the end of the old connection
			if err = client.SendLogs(one); err == nil || !strings.Contains(err.Error(), "connection refused") {
				return fmt.Errorf("not refused: %v", err) //nolint:errorlint // it may be nil
			}
			return nil
		})
		if client.overGRPC() {
			assert.Equal(t, codes.Unavailable, status.Code(err))
		}
		assert.Equal(t, Counts{Requests: 1, Accepted: 1}, sink.Counts())

		sink.Heal(t)
		proc.Eventually(t, 5*time.Second, func() error { return client.SendLogs(one) })
		assert.Len(t, sink.LogRecords(), 2)
	})
}

func TestDelay(t *testing.T) {
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		sink.Delay(50 * time.Millisecond)
		start := time.Now()
		require.NoError(t, client.SendLogs(one))
		assert.GreaterOrEqual(t, time.Since(start), 50*time.Millisecond)

		sink.Delay(time.Hour)
		client.o.Timeout = 100 * time.Millisecond
		require.Error(t, client.SendLogs(one))
		proc.Eventually(t, 5*time.Second, func() error {
			if c := sink.Counts(); c != (Counts{Requests: 2, Accepted: 1, Rejected: 1}) {
				return errors.New("the abandoned request is not rejected yet")
			}
			return nil
		})
		assert.Len(t, sink.LogRecords(), 1, "what the client gave up is not stored")
	})
}

func TestDelayDoesNotHoldTheEndUp(t *testing.T) {
	start := time.Now()
	var sending sync.WaitGroup
	t.Run("sink", func(t *testing.T) {
		sink := StartSink(t, SinkOptions{})
		sink.Delay(time.Hour)
		for _, client := range []*Client{
			NewClient(t, sink.GRPC, ClientOptions{Timeout: time.Minute}),
			NewClient(t, sink.HTTP, ClientOptions{Timeout: time.Minute, Protocol: HTTPProtobuf}),
		} {
			sending.Go(func() { assert.Error(t, client.SendLogs(Logs(Log{Body: "x"}))) })
		}
		sink.WaitRequests(t, 5*time.Second, AtLeast[Request](2))
	})
	sending.Wait()
	assert.Less(t, time.Since(start), 10*time.Second)
}

func TestStatus(t *testing.T) {
	f := func(t *testing.T, code int, retryAfter time.Duration, wantCode codes.Code, wantHeader string) {
		t.Helper()
		eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
			sink.Status(code, retryAfter)
			err := client.SendLogs(one)
			require.Error(t, err)
			var st *status.Status
			if client.overGRPC() {
				st = status.Convert(err)
			} else {
				var answer *HTTPError
				require.ErrorAs(t, err, &answer)
				assert.Equal(t, code, answer.Status)
				assert.Equal(t, wantHeader, answer.RetryAfter)
				var body spb.Status
				if client.o.Protocol == HTTPJSON {
					require.NoError(t, protojson.Unmarshal([]byte(answer.Body), &body))
				} else {
					require.NoError(t, proto.Unmarshal([]byte(answer.Body), &body))
				}
				st = status.FromProto(&body)
			}
			assert.Equal(t, wantCode, st.Code())
			assert.Contains(t, st.Message(), "the sink was told to fail")
			if retryAfter == 0 {
				assert.Empty(t, st.Details())
			} else {
				require.Len(t, st.Details(), 1)
				assert.Equal(t, retryAfter, st.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
			}
			assert.Empty(t, sink.LogRecords())
			assert.Equal(t, Counts{Requests: 1, Rejected: 1}, sink.Counts())
			assert.Equal(t, 1, sink.Requests()[0].Items, "what was refused can be seen")

			sink.Heal(t)
			require.NoError(t, client.SendLogs(one))
			assert.Len(t, sink.LogRecords(), 1)
		})
	}
	f(t, 429, 0, codes.ResourceExhausted, "")
	f(t, 429, 1500*time.Millisecond, codes.ResourceExhausted, "2")
	f(t, 503, 0, codes.Unavailable, "")
	f(t, 503, time.Second, codes.Unavailable, "1")
	f(t, 500, 0, codes.Internal, "")
	f(t, 400, 0, codes.InvalidArgument, "")
	f(t, 418, 0, codes.Unknown, "")
}

func TestCloseConnection(t *testing.T) {
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		require.NoError(t, client.SendLogs(one))
		sink.CloseConnection()
		requireDropped(t, client, client.SendLogs(one))
		assert.Len(t, sink.LogRecords(), 1, "nothing is stored")
		assert.Equal(t, 1, sink.Counts().Accepted)
		assert.Positive(t, sink.Counts().Rejected)
		sink.Heal(t)
		proc.Eventually(t, 5*time.Second, func() error { return client.SendLogs(one) })
	})
}

func TestLoseAnswer(t *testing.T) {
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		sink.LoseAnswer()
		requireDropped(t, client, client.SendLogs(one))
		assert.Len(t, sink.LogRecords(), 1, "the data is stored although the client cannot know")
		assert.Equal(t, Counts{Requests: 1, Rejected: 1}, sink.Counts())
	})
}

// requireDropped checks that the connection ended without an answer.
func requireDropped(t *testing.T, client *Client, err error) {
	t.Helper()
	require.Error(t, err)
	if client.overGRPC() {
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.NotContains(t, err.Error(), "told to fail")
		return
	}
	dropped := errors.Is(err, io.EOF) || strings.Contains(err.Error(), "connection reset") || strings.Contains(err.Error(), "broken pipe")
	require.True(t, dropped, "%v", err)
}

func TestFailEvery(t *testing.T) {
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		send := func(n int) string {
			outcome := make([]byte, n)
			for i := range outcome {
				outcome[i] = '+'
				if client.SendLogs(one) != nil {
					outcome[i] = '-'
				}
			}
			return string(outcome)
		}
		sink.FailEvery(3)
		assert.Equal(t, "++-++-+", send(7))
		sink.Status(http.StatusTooManyRequests, 0)
		sink.FailEvery(2)
		assert.Equal(t, "+-+-", send(4))
		sink.FailEvery(1)
		assert.Equal(t, "--", send(2))
		sink.Heal(t)
		assert.Equal(t, "+++", send(3))
	})
}

func TestFaultsChangeWhileRequestsCome(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	var mu sync.Mutex
	acknowledged := 0
	for _, o := range []ClientOptions{{}, {}, {Protocol: HTTPProtobuf}, {Protocol: HTTPJSON}} {
		endpoint := sink.GRPC
		if o.Protocol != "" {
			endpoint = sink.HTTP
		}
		client := NewClient(t, endpoint, o)
		senders.Go(func() {
			for ctx.Err() == nil {
				if client.SendLogs(Logs(Log{Body: "x"})) == nil {
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
			}
		})
	}
	for range 5 {
		for _, change := range []func(){
			sink.Refuse, func() { sink.Heal(t) }, func() { sink.Status(503, 0) }, sink.CloseConnection, sink.LoseAnswer,
			func() { sink.FailEvery(2) }, func() { sink.Delay(time.Millisecond) }, func() { sink.Heal(t) },
		} {
			before := sink.Counts().Requests
			change()
			_ = sink.LogRecords()
			if sink.grpcLis.isOpen() {
				sink.WaitRequests(t, 10*time.Second, AtLeast[Request](before+5))
			}
		}
	}
	stop()
	senders.Wait()
	mu.Lock()
	defer mu.Unlock()
	assert.GreaterOrEqual(t, len(sink.LogRecords()), acknowledged, "an acknowledged record is a stored one")
	c := sink.Counts()
	assert.Equal(t, c.Requests, c.Accepted+c.Rejected)
	assert.Positive(t, acknowledged)
}

func (l *reopenable) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lis != nil
}
