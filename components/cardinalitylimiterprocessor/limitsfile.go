package cardinalitylimiterprocessor

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// limitsFile is read again and again and compared: a file in a ConfigMap changes by a link to another folder, which no watch on the file sees.
type limitsFile struct {
	path       string
	read       []byte
	loaded     time.Time
	unreadable error // of the last attempt to read it
	err        error // of the file as it is now
}

// limitsInterval is how often the limits file is looked at.
const limitsInterval = 10 * time.Second

// maxLimitsFile bounds it.
const maxLimitsFile = 1 << 20

// readLimits takes the rules from the limits file if it has changed. One that cannot be used leaves the rules before it in force; at the
// start there must be some.
func (p *limiter) readLimits(first bool) error {
	if p.file.path == "" {
		return nil
	}
	data, err := os.ReadFile(p.file.path)
	if err == nil && len(data) > maxLimitsFile {
		err = fmt.Errorf("is larger than %d bytes", maxLimitsFile)
	}
	p.mu.Lock()
	same := bytes.Equal(data, p.file.read) && fmt.Sprint(err) == fmt.Sprint(p.file.unreadable)
	p.file.read, p.file.unreadable = data, err
	p.mu.Unlock()
	if same && !first {
		return nil
	}
	var rules []limit.Rule
	if err == nil {
		rules, err = parseLimits(data)
	}
	p.mu.Lock()
	p.file.err = err
	if err == nil {
		p.file.loaded = p.now()
		p.setRules(rules)
		p.folds.Release()
	}
	p.mu.Unlock()
	p.tel.reloaded(p.file.path, err)
	if first && err != nil && len(p.cfg.Rules) == 0 {
		return fmt.Errorf("limits_file: %w; correct it, or set rules to fall back on", err)
	}
	return nil
}
