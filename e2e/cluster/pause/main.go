// Command pause keeps a pod's namespaces alive, as registry.k8s.io/pause does in a cluster that can pull it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}
