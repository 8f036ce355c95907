package lokihintprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// takeHint counts a hint that is taken off. A resource's is read, too; a record's has been.
func (w *walker) takeHint(l level, k *key, v pcommon.Value) {
	honored := false
	switch {
	case k.raw == config.HintTenant:
		honored = l == ofResource && w.readTenantHint(v)
	case l == ofResource:
		honored = w.readHint(w.asked, k, v)
		copy(w.asks, w.asked)
	case l == ofRecord:
		honored = w.readHint(w.asks, k, v)
	}
	if honored {
		w.counts.hints[hintHonored]++
	} else {
		w.counts.hints[hintStripped]++
	}
}

// readHint marks the labels that a hint asks for and may ask for.
func (w *walker) readHint(asks []bool, k *key, v pcommon.Value) (honored bool) {
	if len(asks) == 0 || k.raw != config.HintResourceLabels && k.raw != config.HintAttributeLabels {
		return false
	}
	eachName(v, func(name string) {
		if i, ok := w.layout.onHint[hinted{record: k.raw == config.HintAttributeLabels, key: name}]; ok {
			asks[i], honored = true, true
		}
	})
	return honored
}

// readTenantHint finds the source of the tenant that a hint names.
func (w *walker) readTenantHint(v pcommon.Value) (honored bool) {
	if !w.layout.tenantOnHint {
		return false
	}
	eachName(v, func(name string) {
		for i, s := range w.layout.tenants {
			if s.key == name && w.tenantHint < 0 {
				w.tenantHint = i
			}
		}
	})
	return w.tenantHint >= 0
}

// eachName splits a hint: names in a text, between commas, or a list of them.
func eachName(v pcommon.Value, f func(string)) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		for name := range strings.SplitSeq(v.Str(), ",") {
			f(strings.TrimSpace(name))
		}
	case pcommon.ValueTypeSlice:
		for _, name := range v.Slice().All() {
			f(strings.TrimSpace(name.AsString()))
		}
	default:
	}
}
