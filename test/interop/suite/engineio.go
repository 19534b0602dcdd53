package suite

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sockeye-io/sockeye/engineio"
)

// Handler returns the named server and the function that ends it.
func Handler(name string, times Times) (h http.Handler, stop func(), err error) {
	switch name {
	case "eio4":
		s := engineio.NewServer(engineOptions("/engine.io/", times), func(s *engineio.Session) engineio.Receiver {
			return echo{s}
		})
		return s, func() { _ = s.Close() }, nil
	case "sio5":
		s := socketServer(times)
		return s, func() { _ = s.Close() }, nil
	}
	return nil, nil, fmt.Errorf("unknown suite %q: want eio4 or sio5", name)
}

func engineOptions(path string, times Times) *engineio.Options {
	return &engineio.Options{
		Path:         path,
		PingInterval: times.PingInterval,
		PingTimeout:  times.PingTimeout,
		MaxPayload:   1_000_000,
		CORS:         &engineio.CORS{Origins: []string{"*"}},
	}
}

// echo sends every message back.
type echo struct{ session *engineio.Session }

func (e echo) Message(binary bool, data []byte) {
	// The data is only lent for the call, and a message owns its own.
	err := e.session.Send(engineio.NewMessage(binary, append([]byte(nil), data...)))
	if err != nil && !errors.Is(err, engineio.ErrClosed) {
		e.session.Abort()
	}
}

func (echo) Closed(engineio.CloseReason, error) {}
