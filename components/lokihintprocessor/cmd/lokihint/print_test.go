package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrint(t *testing.T) {
	f := func(name string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", append([]string{"print"}, args...)...)
		assert.Zero(t, status, problem)
		golden(t, "print-"+name, out)
	}

	f("default", "--config", "testdata/default.yaml")
	f("generated", "--config", "testdata/generated.yaml")
	f("generated-helm", "--config", "testdata/generated.yaml", "--format", "helm")
	f("generated-tenant", "--config", "testdata/generated.yaml", "--format", "tenant", "--tenant", "blue")
	f("list", "--config", "testdata/list.yaml", "--format", "loki")
	f("many", "--config", "testdata/many.yaml")
	f("many-tenant", "--config", "testdata/many.yaml", "--format", "tenant", "--tenant", "blue")
	f("tenants-tenant", "--config", "testdata/tenants.yaml", "--format", "tenant")
}

// Loki's limit holds for labels beside service_name, of which a stream cannot have more than there are.
func TestPrintMaxLabels(t *testing.T) {
	f := func(maxLabels, labels, want string) {
		t.Helper()
		status, out, problem := lokihint(t, "", "print", "--config", "testdata/many.yaml", "--config",
			"yaml:processors::loki_hint: {max_labels: "+maxLabels+", contract: generated, labels: ["+labels+"]}")
		assert.Zero(t, status, problem)
		if want == "" {
			assert.NotContains(t, out, "max_label_names_per_series")
		} else {
			assert.Contains(t, out, "max_label_names_per_series: "+want+"\n")
		}
	}
	const fifteen = "record.a, record.b, record.c, record.d, record.e, record.f, record.g, record.h, record.i, record.j, record.k, record.l, record.m, record.n, record.o"

	f("15", fifteen+", record.p", "")
	f("16", fifteen, "")
	f("16", fifteen+", record.p", "16")
	f("20", fifteen+", record.p, record.q", "17")
}

func TestPrintErrors(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", append([]string{"print", "--config", "testdata/generated.yaml"}, args...)...)
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Contains(t, problem, want)
	}

	f("--format must be loki, tenant or helm, got \"yaml\"", "--format", "yaml")
	f("--tenant must be set, as the processor has no tenant::default", "--format", "tenant")
	f("--tenant must be a tenant of Loki, with --format tenant, got \"a b\"", "--format", "tenant", "--tenant", "a b")
	f("--tenant must be a tenant of Loki, with --format tenant, got \"a\"", "--tenant", "a")
}
