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

// deliver hands a batch on; with tenants, the resources of each in a request of their own, whose client metadata names it.
func (p *hinter) deliver(ctx context.Context, ld plog.Logs, tenants []string) error {
	if len(tenants) == 0 {
		return p.next.ConsumeLogs(ctx, ld)
	}
	first := tenants[0]
	alike := true
	for _, t := range tenants {
		alike = alike && t == first
	}
	if alike {
		return p.next.ConsumeLogs(p.withTenant(ctx, first), ld)
	}
	var permanent, retryable []error
	failed := plog.NewLogs()
	for _, part := range byTenant(ld, tenants) {
		err := p.next.ConsumeLogs(p.withTenant(ctx, part.tenant), part.logs)
		if err == nil {
			continue
		}
		if consumererror.IsPermanent(err) {
			permanent = append(permanent, err)
			continue
		}
		var partial consumererror.Logs
		if errors.As(err, &partial) {
			partial.Data().ResourceLogs().MoveAndAppendTo(failed.ResourceLogs())
		} else {
			part.logs.ResourceLogs().MoveAndAppendTo(failed.ResourceLogs())
		}
		retryable = append(retryable, err)
	}
	switch lost := errors.Join(permanent...); {
	case len(retryable) == 0:
		return lost
	case lost != nil:
		// As text: what is permanent must not make the rest so.
		retryable = append(retryable, errors.New(lost.Error()))
	}
	// What was taken is not sent again by those who look at this.
	return consumererror.NewLogs(errors.Join(retryable...), failed)
}

type part struct {
	tenant string
	logs   plog.Logs
}

// byTenant takes a batch apart, in the order in which tenants come.
func byTenant(ld plog.Logs, tenants []string) []part {
	var parts []part
	at := map[string]int{}
	for i, tenant := range tenants {
		n, ok := at[tenant]
		if !ok {
			n = len(parts)
			at[tenant] = n
			parts = append(parts, part{tenant, plog.NewLogs()})
		}
		ld.ResourceLogs().At(i).MoveTo(parts[n].logs.ResourceLogs().AppendEmpty())
	}
	return parts
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
