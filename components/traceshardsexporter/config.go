package traceshardsexporter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
)

// placeholder is what stands for a shard's number in endpoint.
const placeholder = "%d"

// maxShards keeps a mistake (a port, say) from opening thousands of queues.
const maxShards = 256

// Config is what a user can set: the configuration of the otlp_grpc exporter, and how many of them there are; README.md has the table.
type Config struct {
	otlpexporter.Config `mapstructure:",squash"`

	// Shards are numbered from 0.
	Shards int `mapstructure:"shards"`
}

var otlp = otlpexporter.NewFactory()

func createDefaultConfig() component.Config {
	return &Config{Config: *otlp.CreateDefaultConfig().(*otlpexporter.Config)}
}

// Validate looks at what goes beyond the otlp_grpc exporter's own rules.
func (c *Config) Validate() error {
	switch {
	case c.Shards < 1 || c.Shards > maxShards:
		return fmt.Errorf("shards: must be from 1 to %d, got %d", maxShards, c.Shards)
	case c.Shards > 1 && !strings.Contains(c.ClientConfig.Endpoint, placeholder):
		return fmt.Errorf("endpoint: must have %s where the number of the shard belongs, got %q", placeholder, c.ClientConfig.Endpoint)
	case !c.QueueConfig.HasValue():
		return errors.New("sending_queue::enabled: must be true, got false: without queues one shard that is away would make senders repeat the spans of all")
	case c.QueueConfig.Get().WaitForResult:
		return errors.New("sending_queue::wait_for_result: must be false, got true: one shard that is away would make senders repeat the spans of all")
	}
	return nil
}

// shard is the configuration of one shard's exporter. What it shares with the others is only read.
func (c *Config) shard(number int) *otlpexporter.Config {
	one := c.Config
	one.ClientConfig.Endpoint = strings.ReplaceAll(one.ClientConfig.Endpoint, placeholder, strconv.Itoa(number))
	one.ClientConfig.Middlewares = withReconnect(one.ClientConfig.Middlewares)
	return &one
}
