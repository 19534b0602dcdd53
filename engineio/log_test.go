package engineio_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sockeye-io/sockeye/engineio"
)

// The log says who was refused and why a session ended to who asks for it, and what needs somebody's attention to
// everybody.
func TestLog(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var log bytes.Buffer
		opts := outbox(100, engineio.PolicyDisconnect)
		opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
		inBubble(t, opts, func(t *testing.T, s *server) {
			s.get("EIO=4&transport=carrier+pigeon")
			p := s.poll()
			for p.peer.Send(textMessage(repeat("x", 100))) == nil {
			}
			synctest.Wait()
		})
		for line, wanted := range map[string]bool{
			`level=WARN msg="engineio: closing a session that reads too slowly"`:                    true,
			`level=DEBUG msg="engineio: request refused" status=400 message="Transport unknown"`:    level == slog.LevelDebug,
			`level=DEBUG msg="engineio: session closed"`:                                            level == slog.LevelDebug,
			`transport=polling reason="outbox full" error="` + engineio.ErrOutboxFull.Error() + `"`: level == slog.LevelDebug,
		} {
			if got := strings.Contains(log.String(), line); got != wanted {
				t.Errorf("level %v: %q in the log is %v\n%s", level, line, got, &log)
			}
		}
	}
}
