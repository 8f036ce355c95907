// Command build builds the named servers of e2e/backends into the cache, without arguments all but those that only
// e2e/cluster needs, so that a test's own time limit does not have to pay for it.
package main

import (
	"fmt"
	"os"

	"github.com/sluice-otel/sluice/e2e/backends"
)

func main() {
	if err := backends.Build(os.Args[1:]...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
