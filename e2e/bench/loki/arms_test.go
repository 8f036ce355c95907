package loki

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/lokihintprocessor"
)

// arm is a way to take the batches: processors of a configuration, one after the other. Without any it goes past the attributes
// and does nothing with them.
type arm struct {
	name  string
	files []string // as the collector's --config
	ids   []string
}

// hint is the processor of this repository.
func hint(files ...string) arm { return arm{"loki_hint", files, []string{"loki_hint"}} }

// upstream are processors of upstream's; see the file.
func upstream(name string, ids ...string) arm {
	return arm{name, []string{"../configs/loki/upstream.yaml"}, ids}
}

const (
	shipped  = "../../../configs/backends/lgtm.yaml"
	promtail = "../../../configs/loki/promtail-labels.yaml"
	tenants  = "../../../configs/loki/gateway-tenants.yaml"
)

var (
	noop  = arm{name: "noop"}
	names = upstream("names", "transform/names")
	mend  = upstream("mend", "transform/mend")
	near  = upstream("upstream", "transform/near")

	factories = []processor.Factory{lokihintprocessor.NewFactory(), transformprocessor.NewFactory(), groupbyattrsprocessor.NewFactory()}
)

// start starts the processors of an arm in front of a consumer.
func (a arm) start(tb testing.TB, next consumer.Logs) consumer.ConsumeLogsFunc {
	if len(a.ids) == 0 {
		return func(ctx context.Context, ld plog.Logs) error {
			past(ld)
			return next.ConsumeLogs(ctx, ld)
		}
	}
	conf := resolve(tb, a.files)
	for i := len(a.ids) - 1; i >= 0; i-- {
		next = startProcessor(tb, conf, a.ids[i], next)
	}
	return next.ConsumeLogs
}

func startProcessor(tb testing.TB, conf *confmap.Conf, name string, next consumer.Logs) consumer.Logs {
	var id component.ID
	require.NoError(tb, id.UnmarshalText([]byte(name)))
	for _, f := range factories {
		if f.Type() != id.Type() {
			continue
		}
		own, err := conf.Sub("processors::" + name)
		require.NoError(tb, err)
		own.Delete("storage") // what it costs to keep the budgets is not a batch's
		cfg := f.CreateDefaultConfig()
		require.NoError(tb, own.Unmarshal(cfg))
		require.NoError(tb, xconfmap.Validate(cfg))
		p, err := f.CreateLogs(tb.Context(), processortest.NewNopSettings(f.Type()), cfg, next)
		require.NoError(tb, err)
		require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
		tb.Cleanup(func() { require.NoError(tb, p.Shutdown(context.Background())) })
		return p
	}
	require.Fail(tb, "no factory", name)
	return nil
}

func resolve(tb testing.TB, files []string) *confmap.Conf {
	settings := confmap.ResolverSettings{ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()}, DefaultScheme: "env"}
	for _, file := range files {
		settings.URIs = append(settings.URIs, "file:"+filepath.FromSlash(file))
	}
	r, err := confmap.NewResolver(settings)
	require.NoError(tb, err)
	conf, err := r.Resolve(tb.Context())
	require.NoError(tb, err)
	require.NoError(tb, r.Shutdown(tb.Context()))
	return conf
}

// past is what any processor must do that looks at attributes.
func past(ld plog.Logs) {
	look := func(attrs pcommon.Map) {
		attrs.RemoveIf(func(string, pcommon.Value) bool { return false })
	}
	for _, rl := range ld.ResourceLogs().All() {
		look(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				look(lr.Attributes())
			}
		}
	}
}
