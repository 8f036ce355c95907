// Command build builds the named servers of e2e/backends into the cache, without arguments all but those that only
// e2e/cluster needs, with -all those too, so that a test's own time limit does not have to pay for it.
package main

import (
	"fmt"
	"os"

	"github.com/sluice-otel/sluice/e2e/backends"
)

func main() {
	names := os.Args[1:]
	if len(names) == 1 && names[0] == "-all" {
		names = backends.Names()
	}
	if err := backends.Build(names...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
