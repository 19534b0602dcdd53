package engine_test

import (
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/client/engine"
)

func TestUpgrade(t *testing.T) {
	eachUpgrade(t, func(t *testing.T, s *server, order []string) {
		s.echo = true
		moved := make(chan string, 1)
		c, r := s.dial(&engine.Options{OnUpgrade: func(from, to string) { moved <- from + " " + to }}, order...)
		for i := 0; ; i++ {
			send(t, c, text(fmt.Sprint(i)))
			select {
			case got := <-moved:
				if got != order[0]+" "+order[1] {
					t.Errorf("moved %s", got)
				}
				for j := range i + 1 {
					r.expect(fmt.Sprint(j))
				}
				if c.Transport() != order[1] {
					t.Errorf("transport %q", c.Transport())
				}
				return
			default:
			}
			if i%10 == 0 {
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
