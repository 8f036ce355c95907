package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

func verifyCommand(ctx context.Context, args []string, env environment) error {
	server := lokiServer{header: http.Header{}}
	var address, tenant string
	s, rest, err := parse("verify", "--config FILE… --loki ADDRESS [flags]\n\nWrites one line into Loki, with service.name="+probeService+", and reads its labels back.", args, env, func(flags *flag.FlagSet) {
		flags.StringVar(&address, "loki", "", "Loki's base `address`, such as http://loki:3100, where it takes logs and answers queries")
		flags.StringVar(&tenant, "tenant", "", "X-Scope-OrgID; the tenant that the processor gives the record without it")
		flags.DurationVar(&server.patience, "timeout", 30*time.Second, "how `long` to wait for the labels")
		flags.Func("header", "`K=V`, sent with every request; can be given several times", func(pair string) error {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				return errors.New("must be K=V")
			}
			server.header.Add(key, value)
			return nil
		})
	})
	if err != nil {
		return err
	}
	server.base, err = url.Parse(address)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("verify: takes no arguments, got %q", rest)
	case err != nil || server.base.Host == "" || server.base.Scheme != "http" && server.base.Scheme != "https":
		return fmt.Errorf("verify: --loki must be http://HOST:PORT or https://HOST:PORT, got %q", address)
	case tenant != "" && !config.ValidTenant(tenant):
		return fmt.Errorf("verify: --tenant must be a tenant of Loki, got %q", tenant)
	}
	l, err := load(ctx, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, server.patience)
	defer cancel()
	return verify(ctx, l, &server, tenant, env.out)
}

// verify sends a record through the processor to Loki, and compares the labels that it gets with those that it should get.
func verify(ctx context.Context, l *loaded, server *lokiServer, tenant string, out io.Writer) error {
	now := time.Now()
	outcome, _, err := process(ctx, l, []plog.Logs{probe(l, tenant, now)})
	if err != nil {
		return err
	}
	if len(outcome) != 1 || outcome[0].logs.LogRecordCount() != 1 {
		return fmt.Errorf("%s made %d requests of one record", l.id, len(outcome))
	}
	want := l.loki().Store(outcome[0].logs)
	if want.Refused != "" || want.Entries[0].Refused != "" {
		return fmt.Errorf("loki would not take the record: %s%s", want.Refused, want.Entries[0].Refused)
	}
	if tenant == "" {
		tenant = outcome[0].tenant
	}
	if tenant != "" {
		server.header.Set("X-Scope-OrgID", tenant)
	}
	if err = server.push(ctx, outcome[0].logs); err != nil {
		var refusal *refusalError
		if !errors.As(err, &refusal) {
			return err
		}
		say(out, "Loki does not take the record: %s\n%s\n", refusal, remedy(l, tenant))
		return errDiffers
	}
	got, err := server.series(ctx, probeService, now)
	if err != nil {
		return err
	}
	differences := compare(l, want.Entries[0].Labels, got)
	if len(differences) == 0 {
		say(out, "ok: Loki makes the labels that the configuration says: %s\n", want.Entries[0].Selector())
		return nil
	}
	for _, d := range differences {
		say(out, "%s\n", d)
	}
	say(out, "%s\n", remedy(l, tenant))
	return errDiffers
}

// compare says what differs in the stream that is nearest to the one that should be.
func compare(l *loaded, want map[string]string, got []map[string]string) []string {
	if len(got) == 0 {
		return []string{fmt.Sprintf("Loki took the record, but has no stream with %s=%q", config.ServiceLabel, probeService)}
	}
	var nearest []string
	for i, labels := range got {
		if d := differ(l, want, labels); i == 0 || len(d) < len(nearest) {
			nearest = d
		}
	}
	return nearest
}

func differ(l *loaded, want, got map[string]string) []string {
	var d []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		switch {
		case !ok:
			d = append(d, fmt.Sprintf("Loki makes no label %s of the resource attribute %s", name, carrier(l, name)))
		case value != want[name]:
			d = append(d, fmt.Sprintf("Loki gives the label %s the value %q, not %q of the resource attribute %s", name, value, want[name], carrier(l, name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "__") { // __stream_shard__ and the like are Loki's own
			d = append(d, fmt.Sprintf("Loki makes %s a label, although it is none of the processor's", name))
		}
	}
	return d
}

func carrier(l *loaded, name string) string {
	for _, label := range l.plan.Labels {
		if label.Name == name {
			return label.Carrier
		}
	}
	return "service.name"
}

// remedy is what to do when Loki is not configured as the processor expects.
func remedy(l *loaded, tenant string) string {
	load := "load what `lokihint print` prints into Loki's configuration"
	if tenant != "" {
		load += fmt.Sprintf(" (if Loki has overrides for the tenant %s, what `lokihint print --format tenant --tenant %s` prints)", tenant, tenant)
	}
	switch {
	case l.cfg.Contract != config.ContractDefault:
		return fmt.Sprintf("To do: %s, or set the processor's contract to what Loki has.", load)
	case needs(l).MaxLabels > 0:
		return fmt.Sprintf("To do: %s.", load)
	}
	return fmt.Sprintf("To do: contract: default needs Loki's own list of index labels. Take otlp_config out of Loki's configuration; or set contract: generated and %s; or set "+
		"contract: list with the attributes that Loki indexes.", load)
}
