package main

import (
	"net"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/clusterdemo"
)

// clusterDemoCommand is "sockeye cluster-demo".
type clusterDemoCommand struct {
	Addr      string        `default:"localhost:3000" help:"Where the balancer listens, as HOST:PORT. \":3000\" is every interface, port 0 any free port."`
	Redis     redisWish     `placeholder:"[URL]" help:"Let the servers talk by way of a Redis instead of by themselves: the one at redis://HOST:PORT, or one that is started if no URL is given."`
	KillAfter time.Duration `placeholder:"TIME" help:"Kill the node with the most connections after this time, such as 20s, without being told to."`
	Balancer  string        `enum:"auto,nginx,own" default:"auto" help:"What is in front: nginx, own (a round-robin proxy that needs nothing), or auto: nginx if it is installed."`
}

// Help is shown below the flags.
func (*clusterDemoCommand) Help() string {
	return `Starts three servers on free ports, and one address in front of them where every request goes to the next server, without sticky sessions. Open the chat there in two tabs, kill the server of one of them, and go on talking.

Keys, if it runs in a terminal or letters are piped into it:

  k       kill the node with the most connections, as a crash would
  r       start again what was killed
  a b c   kill or start that node
  q       stop; so does Ctrl+C

Examples:

  sockeye cluster-demo                                  no broker: the servers carry a NATS server each
  sockeye cluster-demo --redis                          a Redis between them, started for it
  sockeye cluster-demo --redis redis://localhost:6379   one that is there
  sockeye cluster-demo --kill-after 20s                 kill one without being told to
  sockeye cluster-demo --addr :8080 --balancer own      on every interface, without nginx`
}

// redisWish is the value of --redis, which may be given without one.
type redisWish string

// Decode implements kong.MapperValue: what follows is the URL if it looks like one.
func (r *redisWish) Decode(ctx *kong.DecodeContext) error {
	*r = "start"
	next := ctx.Scan.Peek()
	text, ok := next.Value.(string)
	if !ok || next.IsEOL() {
		return nil
	}
	if next.Type == kong.FlagValueToken || strings.Contains(text, "://") {
		ctx.Scan.Pop()
		*r = redisWish(text)
		if !strings.Contains(text, "://") {
			*r = "redis://" + *r
		}
	}
	return nil
}

// IsBool implements kong.BoolMapperValue.
func (*redisWish) IsBool() bool { return true }

// Run runs the demo.
func (c *clusterDemoCommand) Run(s streams, g *globals, in stdin) error {
	ctx, stop := untilSignal()
	defer stop()
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return explainListen(c.Addr, err)
	}
	ln, err := net.Listen("tcp", c.Addr) // tried first, before three servers are started
	if err != nil {
		return explainListen(c.Addr, err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o := clusterdemo.Options{
		Addr: addr, Balancer: c.Balancer, Redis: string(c.Redis), KillAfter: c.KillAfter, Command: []string{program, "serve"},
		Keys:   in.Reader,
		Screen: &clusterdemo.Screen{W: s.out, Color: g.color(s.out), Terminal: refreshable(s.out)},
	}
	if keyboard, ok := in.Reader.(*os.File); ok {
		if fd := int(keyboard.Fd()); term.IsTerminal(fd) {
			// Keys are read as they are pressed. Ctrl+C is a key, too, then.
			old, err := term.MakeRaw(fd)
			if err == nil {
				defer func() { _ = term.Restore(fd, old) }() // it was a terminal just now
			}
		} else if !piped(keyboard) {
			o.Keys = nil
		}
	}
	return clusterdemo.Run(ctx, o)
}

// piped reports whether a file is a pipe, from which keys may come.
func piped(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
