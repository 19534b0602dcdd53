package embedded

import (
	"fmt"
	"log/slog"
)

// A logger passes on what the NATS server has to say. What it calls fatal concerns only its own start.
type logger struct {
	log    *slog.Logger
	failed chan<- error
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(string, ...any)           {}

func (l *logger) Fatalf(format string, v ...any) {
	err := fmt.Errorf("embedded: "+format, v...)
	l.log.Error(err.Error())
	select {
	case l.failed <- err:
	default:
	}
}
