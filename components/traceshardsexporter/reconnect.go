package traceshardsexporter

import (
	"maps"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// reconnectDelay is the longest time between attempts to connect. gRPC's own is two minutes: after a replica's return each gateway would
// resume at another time, and the sampler decide on what one gateway has of a trace before the other has sent the rest.
const reconnectDelay = 2 * time.Second

// reconnect reaches the connections of upstream's exporter as a middleware, which is otherwise an extension.
type reconnect struct {
	component.StartFunc
	component.ShutdownFunc
}

var (
	reconnectID                                = component.MustNewIDWithName("trace_shards", "reconnect")
	_           extensionmiddleware.GRPCClient = reconnect{}
)

// GetGRPCClientOptions sets the delay.
func (reconnect) GetGRPCClientOptions() ([]grpc.DialOption, error) {
	delays := backoff.DefaultConfig
	delays.BaseDelay, delays.MaxDelay = reconnectDelay/4, reconnectDelay
	return []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: delays, MinConnectTimeout: 5 * time.Second})}, nil
}

func withReconnect(middlewares []configmiddleware.Config) []configmiddleware.Config {
	return append(middlewares[:len(middlewares):len(middlewares)], configmiddleware.Config{ID: reconnectID})
}

// hostWith has the middleware among its extensions.
type hostWith struct {
	component.Host
	extensions map[component.ID]component.Component
}

func newHost(host component.Host) hostWith {
	extensions := maps.Clone(host.GetExtensions())
	if extensions == nil {
		extensions = map[component.ID]component.Component{}
	}
	extensions[reconnectID] = reconnect{}
	return hostWith{host, extensions}
}

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h.extensions }
