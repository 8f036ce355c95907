package containerlogprocessor

import (
	// Registers the gate; imported here so that it is registered before this package's init runs.
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"
	"go.opentelemetry.io/collector/featuregate"
	"go.uber.org/zap"
)

// synchronousEmitter makes the filelog receiver hand a batch on before it moves the file's offset. Upstream has it off: a queue in
// memory lies between offset and delivery, and kill -9 loses what is in it.
const synchronousEmitter = "stanza.synchronousLogEmitter"

// On by default wherever this processor is in the binary. In init, and so before the command line is read: --feature-gates can
// still turn it off.
func init() {
	if err := featuregate.GlobalRegistry().Set(synchronousEmitter, true); err != nil {
		panic("containerlog: the gate that makes file offsets follow delivery is gone; see whether upstream made it the only way: " + err.Error())
	}
}

// reportGate says at start which way the gate stands.
func reportGate(logger *zap.Logger) {
	enabled := false
	featuregate.GlobalRegistry().VisitAll(func(g *featuregate.Gate) {
		if g.ID() == synchronousEmitter {
			enabled = g.IsEnabled()
		}
	})
	if enabled {
		logger.Info("file offsets follow delivery", zap.String("feature_gate", synchronousEmitter))
		return
	}
	logger.Warn("file offsets run ahead of delivery: kill -9 loses lines and batches of several files mix; "+
		"remove -"+synchronousEmitter+" from --feature-gates", zap.String("feature_gate", synchronousEmitter))
}
