package clusterdemo

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/client"
)

// A node is a "sockeye serve" that can be killed and started again.
type node struct {
	name, addr string
	program    string
	args, env  []string
	screen     *Screen
	ended      chan<- *node

	mu     sync.Mutex
	p      *process
	killed bool // by us
	was    bool // it has been killed, and has not yet served again
	state  nodeState
}

// nodeState is what the screen shows of a node.
type nodeState struct {
	running    bool
	up         bool // it answers
	since      time.Time
	pid        int
	sessions   int
	transports map[string]int
	carried    int64
}

// serverNumbers is the part of the event "server" that we show; see serve.
type serverNumbers struct {
	Sessions   int            `json:"sessions"`
	Transports map[string]int `json:"transports"`
	Carried    int64          `json:"carried"`
}

// start starts the process, if there is none.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.p != nil && n.p.running() {
		return nil
	}
	cmd := exec.Command(n.program, n.args...)
	cmd.Env = append(os.Environ(), n.env...)
	p, err := startProcess(cmd, n.hear)
	if err != nil {
		return err
	}
	n.p, n.killed = p, false
	n.state = nodeState{running: true, since: time.Now(), pid: cmd.Process.Pid}
	go func() {
		<-p.done
		n.mu.Lock()
		if n.p == p {
			n.state = nodeState{since: time.Now()}
			n.was = true
		}
		n.mu.Unlock()
		select {
		case n.ended <- n:
		default: // nobody listens any more
		}
	}()
	return nil
}

// hear shows what a node logs. What it prints at the start is left out.
func (n *node) hear(line string) {
	if strings.HasPrefix(line, "time=") {
		n.screen.Say("          node %s says %s", n.name, line)
	}
}

// readyTime is how long a node may take to start.
const readyTime = 30 * time.Second

// await waits until the node serves.
func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	hc := &http.Client{Transport: transport}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := hc.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		n.mu.Lock()
		p := n.p
		n.mu.Unlock()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.done:
			return fmt.Errorf("node %s does not start: %w", n.name, p.ended())
		case <-ctx.Done():
			return fmt.Errorf("node %s does not serve: %w", n.name, ctx.Err())
		}
	}
}

// watch keeps a connection to the node, past the balancer, over which it tells its numbers.
func (n *node) watch(ctx context.Context) {
	c, err := client.New("http://"+n.addr, &client.Options{
		Transports: []string{"websocket"},
		Reconnect:  client.ReconnectOptions{Delay: 100 * time.Millisecond, MaxDelay: 500 * time.Millisecond},
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return // the address is not one; start has failed before
	}
	defer c.Close()
	s := c.Of("/")
	s.On("server", func(_ context.Context, m *client.Message) error {
		var numbers serverNumbers
		if err := m.Bind(&numbers); err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.state.running {
			n.state.up = true
			// Ours is not counted.
			n.state.sessions = max(0, numbers.Sessions-1)
			numbers.Transports["websocket"]--
			n.state.transports, n.state.carried = numbers.Transports, numbers.Carried
		}
		return nil
	})
	s.Open()
	<-ctx.Done()
}

func (n *node) look() nodeState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

func (n *node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.running
}

// returned reports, once, that a node that had ended serves again.
func (n *node) returned() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	back := n.was && n.state.up
	if back {
		n.was = false
	}
	return back
}

// kill ends the process as a crash does.
func (n *node) kill() {
	n.mu.Lock()
	n.killed = true
	p := n.p
	n.mu.Unlock()
	_ = p.cmd.Process.Kill() // it may have ended
}

// reap says how the process ended, and whether it was us.
func (n *node) reap() (how error, wanted bool) {
	n.mu.Lock()
	p, killed := n.p, n.killed
	n.mu.Unlock()
	if p.running() {
		return nil, true // it was started again meanwhile
	}
	return p.ended(), killed
}

func (n *node) stop() {
	n.mu.Lock()
	p := n.p
	n.mu.Unlock()
	if p != nil {
		p.stop()
	}
}
