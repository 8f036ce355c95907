package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// loaded is a configuration, as the collector understands it and as it is written.
type loaded struct {
	effective, raw map[string]any
	gates          map[string]bool
}

// load asks the collector, which knows every provider and every default. Both views are needed: the effective one has the defaults, and
// only the other says how queues are measured. When the collector cannot read the configuration, the written one may say why.
func load(ctx context.Context, s source) (loaded, error) {
	l := loaded{gates: map[string]bool{}}
	for gate := range strings.SplitSeq(s.gates, ",") {
		if id := strings.TrimLeft(strings.TrimSpace(gate), "+-"); id != "" {
			l.gates[id] = !strings.HasPrefix(strings.TrimSpace(gate), "-")
		}
	}
	var rawErr, err error
	var both sync.WaitGroup
	both.Go(func() { l.raw, rawErr = printed(ctx, s, "--mode=unredacted") })
	both.Go(func() { l.effective, err = printed(ctx, s, "--mode=redacted") })
	both.Wait()
	return l, errors.Join(rawErr, err)
}

func printed(ctx context.Context, s source, flags ...string) (map[string]any, error) {
	// Whether it is valid is what `otelcol validate` says, where secrets and certificates are.
	args := append([]string{"print-config", "--validate=false"}, flags...)
	if s.gates != "" {
		args = append(args, "--feature-gates="+s.gates)
	}
	for _, c := range s.configs {
		args = append(args, "--config="+c)
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, s.otelcol, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(complaints.String()), "\n")
		return nil, fmt.Errorf("%s print-config: %w: %s", s.otelcol, err, first)
	}
	var config map[string]any
	if err := yaml.Unmarshal(out.Bytes(), &config); err != nil {
		return nil, fmt.Errorf("%s print-config: %w", s.otelcol, err)
	}
	return config, nil
}
