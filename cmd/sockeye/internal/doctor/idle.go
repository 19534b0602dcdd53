package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// usualIdle is the shortest idle timeout in common use, with a little room: 60 s in nginx and at AWS, 55 s at Heroku.
const usualIdle = 50 * time.Second

// watched is what became of one connection that was left alone.
type watched struct {
	transport string
	none      string        // why it could not be watched
	lasted    time.Duration // until it was cut, or the end of the watch
	silent    time.Duration // of this, since something last came
	pings     int
	cut       bool
	how       string
}

// examineIdle leaves connections alone and waits whether something cuts them before a heartbeat comes.
func (x *exam) examineIdle(ctx context.Context, s *Step) {
	if x.open == nil {
		s.skip("there was no handshake")
		return
	}
	interval, timeout := x.open.interval(), x.open.timeout()
	s.evidence("heartbeats: every %v, answered within %v; a dead connection is noticed after up to %v", interval, timeout, interval+timeout)
	var watches []func(context.Context) watched
	if x.websocket.works {
		watches = append(watches, x.watchWebSocket)
	}
	if x.polling.works {
		watches = append(watches, x.watchPolling)
	}
	if len(watches) == 0 {
		s.skip("no transport works")
		return
	}
	results := x.watch(ctx, watches)
	conclusive := true
	for _, w := range results {
		switch {
		case w.none != "":
			s.evidence("%s: not watched, %s", w.transport, w.none)
			conclusive = false
		case w.cut:
			s.evidence("%s: cut %s after the beginning, %s after the last that came, heartbeats seen: %d; %s", w.transport, ms(w.lasted), ms(w.silent), w.pings, w.how)
			x.judgeCut(s, w, interval, timeout)
		default:
			s.evidence("%s: still open after %s, heartbeats seen: %d", w.transport, ms(w.lasted), w.pings)
			conclusive = conclusive && w.pings > 0
		}
	}
	switch {
	case conclusive:
		s.say("heartbeats every %v keep connections open", interval)
	default:
		s.say("heartbeats come every %v, which common idle timeouts allow; watched for %v only: --idle %v would tell", interval, x.opts.Idle, (interval + 5*time.Second).Round(time.Second))
	}
	if interval > usualIdle && !hasProblem(s) {
		s.warning("interval-long", fmt.Sprintf("Heartbeats come every %v only; many proxies cut connections that are idle for 60 s.", interval),
			"Set the server's "+x.pingInterval()+" to 25 s, or look at the idle timeout of everything between.")
	}
	if timeout > 0 && timeout < 3*time.Second && interval > time.Second {
		s.warning("timeout-short", fmt.Sprintf("A heartbeat must be answered within %v: phones on slow networks lose their connections.", timeout),
			"Set the server's "+x.option("pingTimeout", "Options.Engine.PingTimeout", "ping_timeout")+" to 20 s, the default.")
	}
}

func (x *exam) pingInterval() string {
	return x.option("pingInterval", "Options.Engine.PingInterval", "ping_interval")
}

// watch runs them side by side, with progress.
func (x *exam) watch(ctx context.Context, watches []func(context.Context) watched) []watched {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Idle)
	defer cancel()
	results := make([]watched, len(watches))
	var wg sync.WaitGroup
	for i, w := range watches {
		wg.Go(func() { results[i] = w(ctx) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	begun := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return results
		case <-tick.C:
			x.opts.Progress("idle timeouts, seconds", int64(time.Since(begun).Seconds()), int64(x.opts.Idle.Seconds()))
		}
	}
}

func (x *exam) judgeCut(s *Step, w watched, interval, timeout time.Duration) {
	config := []string{
		fmt.Sprintf("nginx:    proxy_read_timeout %ds;", int((interval+timeout).Seconds()+15)),
		fmt.Sprintf("HAProxy:  timeout client %[1]ds, timeout server %[1]ds, timeout tunnel 1h", int((interval+timeout).Seconds()+15)),
	}
	if w.pings == 0 || w.silent < interval/2 && w.lasted < interval {
		s.problem("idle-cut", fmt.Sprintf("Something cuts a silent connection (%s) after %s; heartbeats come every %v only.", w.transport, ms(w.silent), interval),
			fmt.Sprintf("Raise the idle timeout above pingInterval + pingTimeout (%v), or set the server's %s below the timeout.", interval+timeout, x.pingInterval())).config(config...)
		return
	}
	s.warning("lifetime-cut", fmt.Sprintf("The connection (%s) was cut after %s although heartbeats came.", w.transport, ms(w.lasted)),
		"Something limits how long a connection may last, or the server was restarted. Clients reconnect; with connectionStateRecovery nothing is lost.")
}

func (x *exam) joinedOne() bool {
	for _, j := range x.joins {
		if j.joined {
			return true
		}
	}
	return false
}

func (x *exam) watchWebSocket(ctx context.Context) (w watched) {
	w.transport = "WebSocket"
	c, a, err := x.dialWebSocket(ctx, ask{}, nil)
	if err != nil || c == nil {
		w.none = "it did not open again"
		if a != nil {
			w.none += fmt.Sprintf(" (%d)", a.status)
		}
		return w
	}
	defer c.close()
	if x.joinedOne() {
		if err := c.send(x.connectPacket()); err != nil {
			w.none = err.Error()
			return w
		}
	}
	begun := time.Now()
	last := begun
	defer func() { w.lasted, w.silent = time.Since(begun), time.Since(last) }()
	for {
		select {
		case m := <-c.messages:
			last = time.Now()
			if m == "2" {
				w.pings++
				if err := c.send("3"); err != nil {
					w.cut, w.how = true, plainError(err, 0).Error()
					return w
				}
			}
		case <-c.ended:
			// The end of the watch ends the connection, too.
			w.cut, w.how = ctx.Err() == nil, c.err.Error()
			return w
		case <-ctx.Done():
			return w
		}
	}
}

func (x *exam) watchPolling(ctx context.Context) (w watched) {
	w.transport = "polling"
	one, _, err := x.openSession(ctx)
	if err != nil || one == nil {
		w.none = "there was no session"
		return w
	}
	defer func() {
		// The watch is over, and its context with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		x.end(ctx, one)
	}()
	if x.joinedOne() {
		if a, err := x.post(ctx, one, x.connectPacket()); err != nil || a.status != http.StatusOK {
			w.none = "a POST failed"
			return w
		}
	}
	begun := time.Now()
	for {
		asked := time.Now()
		a, err := x.poll(ctx, one, x.opts.Idle+x.opts.Timeout)
		w.lasted, w.silent = time.Since(begun), time.Since(asked)
		switch {
		case ctx.Err() != nil:
			return w
		case err != nil:
			if errors.Is(err, context.Canceled) {
				return w
			}
			w.cut, w.how = true, err.Error()
			return w
		case a.read().unknownSession():
			w.none = "a request came to a server that doesn't know the session"
			return w
		case a.status != http.StatusOK:
			w.cut, w.how = true, a.String()
			return w
		}
		for p := range strings.SplitSeq(a.body, "\x1e") {
			switch p {
			case "2":
				w.pings++
				if _, err := x.post(ctx, one, "3"); err != nil && ctx.Err() == nil {
					w.cut, w.how = true, err.Error()
					return w
				}
			case "1":
				w.cut, w.how = true, "the server closed the session"
				return w
			}
		}
	}
}
