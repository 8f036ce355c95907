package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lastLines is how much of each log a dump shows.
const lastLines = 40

// Dump logs what somebody would look at first: events, pods that are not ready, and the last lines of every container and process.
func (c *Cluster) Dump(tb testing.TB) {
	tb.Helper()
	var b strings.Builder
	show := func(args ...string) {
		out, err := c.TryKubectl("", args...)
		fmt.Fprintf(&b, "---- kubectl %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	show("get", "nodes,pods,statefulsets,deployments,daemonsets,persistentvolumeclaims", "-A", "-o", "wide")
	show("get", "events", "-A", "--sort-by=.lastTimestamp")
	b.WriteString(c.describe(""))
	pods, err := c.TryKubectl("", "get", "pods", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}`)
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	for line := range strings.Lines(pods) {
		if f := strings.Fields(line); len(f) == 2 {
			show("logs", "-n", f[0], f[1], "--all-containers", "--prefix", fmt.Sprint("--tail=", lastLines))
		}
	}
	b.WriteString(c.lastWords())
	tb.Log(b.String())
}

// describe is `kubectl describe` of the pods of a namespace that are not ready, of all namespaces when it is empty.
func (c *Cluster) describe(namespace string) string {
	const conditions = `jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.status.phase} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`
	where := []string{"get", "pods", "-o", conditions}
	if namespace == "" {
		where = append(where, "-A")
	} else {
		where = append(where, "-n", namespace)
	}
	pods, err := c.TryKubectl("", where...)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(pods) {
		f := strings.Fields(line)
		if len(f) == 4 && (f[3] == "True" || f[2] == "Succeeded") {
			continue
		}
		for _, args := range [][]string{
			{"describe", "pod", "-n", f[0], f[1]},
			{"logs", "-n", f[0], f[1], "--all-containers", "--prefix", fmt.Sprint("--tail=", lastLines)},
		} {
			out, err := c.TryKubectl("", args...)
			fmt.Fprintf(&b, "---- kubectl %s\n%s", strings.Join(args, " "), out)
			if err != nil {
				fmt.Fprintln(&b, err)
			}
		}
		// Why it was started again; most have not been.
		if out, err := c.TryKubectl("", "logs", "-n", f[0], f[1], "--all-containers", "--prefix", "--previous", fmt.Sprint("--tail=", lastLines)); err == nil || out != "" {
			fmt.Fprintf(&b, "---- kubectl logs --previous -n %s %s\n%s", f[0], f[1], out)
		}
	}
	return b.String()
}

// lastWords are the last lines of every process of the control plane and the node, also of those that were started last.
func (c *Cluster) lastWords() string {
	logs, _ := filepath.Glob(ground{c.dir}.path("run", "*", "*.log")) // the pattern is good
	var b strings.Builder
	for _, file := range logs {
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		text, err := os.ReadFile(file)
		if err != nil || name == "audit" {
			continue
		}
		lines := strings.SplitAfter(string(text), "\n")
		fmt.Fprintf(&b, "---- %s\n%s", name, strings.Join(lines[max(0, len(lines)-lastLines-1):], ""))
	}
	return b.String()
}
