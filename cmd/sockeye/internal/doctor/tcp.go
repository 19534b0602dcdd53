package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// examineTCP connects to every address: a client takes the first that answers, and waits for those before it.
func (x *exam) examineTCP(ctx context.Context, s *Step) {
	if x.viaProxy != "" {
		x.report.Reached = true
		s.skip("requests go through the proxy %s", x.viaProxy)
		return
	}
	type result struct {
		took time.Duration
		err  error
	}
	results := make([]result, len(x.addresses))
	var wg sync.WaitGroup
	for i, a := range x.addresses {
		wg.Go(func() {
			d := net.Dialer{Timeout: x.opts.Timeout}
			begun := time.Now()
			conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a, x.port()))
			results[i] = result{time.Since(begun), err}
			if err == nil {
				conn.Close()
			}
		})
	}
	wg.Wait()
	var good []string
	var bad []string
	var first error
	for i, r := range results {
		address := net.JoinHostPort(x.addresses[i], x.port())
		if r.err != nil {
			bad = append(bad, address)
			if first == nil {
				first = r.err
			}
			s.evidence("%s: %s after %s", address, why(r.err), ms(r.took))
			continue
		}
		good = append(good, fmt.Sprintf("%s in %s", address, ms(r.took)))
		s.evidence("%s: connected in %s", address, ms(r.took))
	}
	x.report.Reached = len(good) > 0
	s.say("%s", strings.Join(good, ", "))
	switch {
	case len(good) == 0:
		x.broken = "no connection can be made"
		code, fix := "tcp-failed", "Is the host up, and is there a route to it?"
		switch {
		case errors.Is(first, syscall.ECONNREFUSED):
			code = "tcp-refused"
			fix = "Is the server running, on port " + x.port() + "? One that listens on localhost or 127.0.0.1 can't be reached from another machine or from outside of its container: have it listen on 0.0.0.0 or ::."
		case timedOut(first):
			code = "tcp-timeout"
			fix = "Something drops the packets: open port " + x.port() + " in the firewall or security group of the server, or use the port that is open."
		}
		s.problem(code, fmt.Sprintf("No connection to port %s: %s.", x.port(), why(first)), fix)
	case len(bad) > 0:
		s.warning("tcp-some", fmt.Sprintf("%s can't be reached, other addresses can: some clients fail or wait.", strings.Join(bad, ", ")),
			"Have the server listen on all of its addresses, or remove the DNS record. For localhost: Node.js 17 and later connects to ::1 first, so listen on :: or use 127.0.0.1 in the URL.")
	}
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// why says the usual reasons in words.
func why(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused, nothing listens there"
	case timedOut(err):
		return "no answer in time"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to it"
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err.Error()
	}
	return err.Error()
}
