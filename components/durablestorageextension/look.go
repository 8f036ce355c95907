package durablestorageextension

import (
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// ErrInUse is Look's answer when a process has the folder open.
var ErrInUse = store.ErrInUse

// Look says what is in the folder of a component that nobody has open: the items of a queue, and other keys. It changes nothing.
func Look(folder string) (items, others int, err error) {
	err = store.Look(folder, func(key string, _ int) {
		if _, ok := queue.ItemNumber(key); ok {
			items++
		} else if key != queue.MetadataKey {
			others++
		}
	})
	return items, others, err
}
