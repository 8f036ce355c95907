package lokihintprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// findTenant says whose a resource is: the first source with a value counts. What Loki does not take for a tenant is the default's.
func (w *walker) findTenant(rl plog.ResourceLogs) (id string) {
	if w.tenantHint >= 0 {
		id = w.slots[w.layout.tenants[w.tenantHint].slot]
	}
	for _, s := range w.layout.tenants {
		if id == "" {
			id = w.slots[s.slot]
		}
	}
	switch {
	case id == "":
		return w.p.cfg.Tenant.Default
	case !config.ValidTenant(id):
		w.counts.invalidTenants += count(rl)
		return w.p.cfg.Tenant.Default
	}
	return id
}

// deliver hands a batch on, in parts where it has to be. What could not be handed on is in ld again, and in the error: who sends either again does not send what
// was taken.
func (p *hinter) deliver(ctx context.Context, ld plog.Logs, tenants []string, costs *costs) error {
	if whole(tenants, costs, p.cfg.MaxRequestBytes) {
		if len(tenants) > 0 {
			ctx = p.withTenant(ctx, tenants[0])
		}
		return p.next.ConsumeLogs(ctx, ld)
	}
	var permanent, retryable []error
	failed := plog.NewLogs()
	cut(ld, tenants, costs, p.cfg.MaxRequestBytes, func(part part) {
		partCtx := ctx
		if len(tenants) > 0 {
			partCtx = p.withTenant(ctx, part.tenant)
		}
		err := p.next.ConsumeLogs(partCtx, part.logs)
		var partial consumererror.Logs
		switch {
		case err == nil:
			return
		case consumererror.IsPermanent(err):
			permanent = append(permanent, err)
			return
		case errors.As(err, &partial):
			partial.Data().ResourceLogs().MoveAndAppendTo(failed.ResourceLogs())
		default:
			part.logs.ResourceLogs().MoveAndAppendTo(failed.ResourceLogs())
		}
		retryable = append(retryable, err)
	})
	failed.MoveTo(ld)
	switch lost := errors.Join(permanent...); {
	case len(retryable) == 0:
		return lost
	case lost != nil:
		// As text: what is permanent must not make the rest so.
		retryable = append(retryable, errors.New(lost.Error()))
	}
	return consumererror.NewLogs(errors.Join(retryable...), ld)
}

// withTenant adds the tenant to the client metadata, in the place of one that is there.
func (p *hinter) withTenant(ctx context.Context, tenant string) context.Context {
	info := client.FromContext(ctx)
	metadata := map[string][]string{}
	for k := range info.Metadata.Keys() {
		metadata[k] = info.Metadata.Get(k)
	}
	metadata[p.metadataKey] = []string{tenant}
	info.Metadata = client.NewMetadata(metadata)
	return client.NewContext(ctx, info)
}
