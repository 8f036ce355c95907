package remotewriteexporter

import (
	"errors"
	"fmt"
	"net/url"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/resourcetotelemetry"
)

// The protobuf messages of remote write 1.0 and 2.0.
const (
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"

	// Below that a request may be all headers.
	minRequestBytes = 1024
)

// Config is what a user can set; README.md has the table.
type Config struct {
	confighttp.ClientConfig `mapstructure:",squash"`
	RetryConfig             configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`
	QueueConfig             configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	ProtobufMessage  string                       `mapstructure:"protobuf_message"`
	MaxRequestBytes  int                          `mapstructure:"max_request_bytes"`
	ExternalLabels   map[string]string            `mapstructure:"external_labels"`
	MetricSuffixes   bool                         `mapstructure:"add_metric_suffixes"`
	TargetInfo       TargetInfo                   `mapstructure:"target_info"`
	ResourceToLabels resourcetotelemetry.Settings `mapstructure:"resource_to_telemetry_conversion"`
}

// TargetInfo is about the metric target_info, which has a resource's attributes as labels.
type TargetInfo struct {
	Enabled bool `mapstructure:"enabled"`
}

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = defaultTimeout
	queue := exporterhelper.NewDefaultQueueConfig()
	// More would overtake each other, and a backend without an out-of-order window refuses what comes second.
	queue.NumConsumers = 1
	return &Config{
		ClientConfig:    client,
		RetryConfig:     configretry.NewDefaultBackOffConfig(),
		QueueConfig:     configoptional.Some(queue),
		ProtobufMessage: messageV1,
		MaxRequestBytes: 4 << 20,
		MetricSuffixes:  true,
		TargetInfo:      TargetInfo{Enabled: true},
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.ProtobufMessage != messageV1 && c.ProtobufMessage != messageV2 {
		return fmt.Errorf("protobuf_message: must be %s (remote write 1.0) or %s (2.0), got %q", messageV1, messageV2, c.ProtobufMessage)
	}
	if c.MaxRequestBytes < minRequestBytes {
		return fmt.Errorf("max_request_bytes: must be at least %d, got %d", minRequestBytes, c.MaxRequestBytes)
	}
	if c.Timeout <= 0 {
		return fmt.Errorf("timeout: must be positive, or a backend that hangs stops delivery for good, got %s", c.Timeout)
	}
	if c.Compression != "" && c.Compression != "snappy" {
		return fmt.Errorf("compression: remote write is always snappy, leave it out, got %q", c.Compression)
	}
	if _, err := c.labels(); err != nil {
		return err
	}
	return checkEndpoint(c.Endpoint)
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return errors.New("endpoint: must be the whole address of the backend's remote write, such as http://prometheus:9090/api/v1/write, got none")
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("endpoint: must be an address, got one that cannot be read") // the error would repeat a password in it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("endpoint: must begin with http:// or https:// and a host, got %q", u.Redacted())
	}
	return nil
}

// labels are the external labels under the names that Prometheus has for them.
func (c *Config) labels() (map[string]string, error) {
	namer := labelNamer()
	labels := make(map[string]string, len(c.ExternalLabels))
	for key, value := range c.ExternalLabels {
		if value == "" {
			return nil, fmt.Errorf("external_labels::%s: must have a value, got none", key)
		}
		name, err := namer.Build(key)
		if err != nil {
			return nil, fmt.Errorf("external_labels: must be names that make labels, got %q", key)
		}
		if _, twice := labels[name]; twice {
			return nil, fmt.Errorf("external_labels: two keys are the label %s, got %q", name, key)
		}
		labels[name] = value
	}
	return labels, nil
}
