package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// serveCommand is "sockeye serve".
type serveCommand struct {
	Addr string   `default:"localhost:3000" help:"Where to listen, as HOST:PORT. \":3000\" is every interface, port 0 any free port."`
	Path string   `default:"/socket.io/" help:"The path of the Socket.IO server."`
	Cors []string `placeholder:"ORIGIN" help:"Origins whose pages may connect, such as https://example.com; * for all. May be given more than once."`
	Log  string   `default:"warn" enum:"debug,info,warn,error" help:"How much to log: debug, info, warn or error."`

	frontFlags   `embed:"" group:"Proxies in front, and restarts:"`
	clusterFlags `embed:"" group:"Several servers that act as one:"`
}

// Help is shown below the flags.
func (*serveCommand) Help() string {
	return `Examples:

  sockeye serve                                   the demo at http://localhost:3000
  sockeye serve --addr :8080                      reachable from other machines
  sockeye serve --addr :0                         on any free port
  sockeye serve --cors https://app.example.com    for pages of that origin, too
  sockeye serve --path /realtime/ --log debug     another path, and everything logged
  sockeye serve --cluster nats://10.0.0.1:6222,nats://10.0.0.2:6222
                                                  one of several servers, behind any balancer
  sockeye serve --redis redis://10.0.0.9:6379     the same, by way of a Redis
  sockeye serve --trusted-proxies 10.0.0.0/8      behind a proxy that sets X-Forwarded-For
  sockeye serve --trusted-proxies 10.0.0.7 --proxy-protocol
                                                  behind HAProxy with send-proxy or send-proxy-v2
  sockeye serve --drain 30s                       after SIGTERM, clients go elsewhere within 30 s

/healthz answers 200, /readyz too, but 503 as soon as the server is stopping.

Stop it with Ctrl+C: clients are let go, and the command ends within two seconds. SIGTERM drains it before, see --drain.
A second signal ends it at once.`
}

// shutdownTime is how long clients have to go after the signal.
const shutdownTime = 2 * time.Second

// Run serves until SIGINT or SIGTERM.
func (c *serveCommand) Run(s streams) error {
	ctx, stop := untilSignal()
	defer stop()
	return c.serve(ctx, s)
}

// serve runs the demo until ctx is done.
func (c *serveCommand) serve(ctx context.Context, s streams) error {
	path, err := cleanPath(c.Path)
	if err != nil {
		return err
	}
	if err := checkOrigins(c.Cors); err != nil {
		return err
	}
	trusted, err := c.networks()
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log)); err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))

	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return explainListen(c.Addr, err)
	}
	opts := demoOptions{path: path, origins: c.Cors, proxies: trusted, log: log}
	clusterText := ""
	var m *membership
	if c.wanted() {
		if m, err = c.join(ctx, ln.Addr(), log); err != nil {
			ln.Close()
			return err
		}
		defer func() {
			if err := m.leave(); err != nil {
				log.Warn("leaving the cluster", "err", err)
			}
		}()
		opts.adapter, opts.peers = m.adapter, m.peers
		clusterText = m.text()
	}
	d, err := newDemo(opts)
	if err != nil {
		ln.Close()
		return err
	}
	if m != nil {
		if err := m.opened(d.io, d); err != nil {
			ln.Close()
			return errors.Join(err, d.close())
		}
	}
	server := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(c.listener(ln, trusted)) }()
	fmt.Fprint(s.out, startText(ln.Addr(), path, clusterText))

	select {
	case err := <-served:
		if m != nil {
			err = errors.Join(err, m.closing())
		}
		return errors.Join(err, d.close())
	case <-ctx.Done():
	}
	fmt.Fprintln(s.out, "\nStopping…")
	d.drain(ctx, s, c.Drain)
	if m != nil {
		if err := m.closing(); err != nil {
			log.Warn("leaving the cluster", "err", err)
		}
	}
	deadline, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	// The Socket.IO server first: an HTTP server waits for open responses, and ours stay open until they are told.
	err = d.shutdown(deadline)
	if httpErr := server.Shutdown(deadline); httpErr != nil {
		server.Close()
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		return serveErr
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// startText tells where to go.
func startText(addr net.Addr, path, cluster string) string {
	var b strings.Builder
	b.WriteString("Sockeye is running.\n\n")
	hosts, everywhere := reachableAs(addr)
	port := addr.(*net.TCPAddr).Port
	for i, host := range hosts {
		label := ""
		if i > 0 {
			label = "   from the network"
		}
		fmt.Fprintf(&b, "  http://%s%s\n", net.JoinHostPort(host, fmt.Sprint(port)), label)
	}
	fmt.Fprintf(&b, "\n  Chat            /chat\n  Transport lab   /lab\n  Socket.IO       %s\n\n", path)
	b.WriteString(cluster)
	if everywhere {
		b.WriteString("Everybody who reaches this machine can take part.\n")
	}
	b.WriteString("Press Ctrl+C to stop.\n")
	return b.String()
}

// reachableAs returns the hosts to put into a URL for a listening address, the machine's own first; everywhere says that
// the address is not limited to this machine.
func reachableAs(addr net.Addr) (hosts []string, everywhere bool) {
	tcp := addr.(*net.TCPAddr)
	if !tcp.IP.IsUnspecified() {
		if tcp.IP.IsLoopback() {
			return []string{"localhost"}, false
		}
		return []string{tcp.IP.String()}, true
	}
	hosts = []string{"localhost"}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return hosts, true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts[:min(len(hosts), 4)], true
}

// explainListen says what to do about an address that can't be listened on.
func explainListen(addr string, err error) error {
	host, port, splitErr := net.SplitHostPort(addr)
	switch {
	case splitErr != nil:
		return fmt.Errorf("--addr %q is not HOST:PORT or :PORT, such as localhost:3000 or :8080", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is taken by another program. Try --addr %s for any free port, or another one such as --addr %s",
			port, net.JoinHostPort(host, "0"), net.JoinHostPort(host, otherPort(port)))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %s needs administrator rights. Try one above 1023, such as --addr %s", port, net.JoinHostPort(host, "8080"))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %q to listen on. Try --addr :%s for all it has", addr, port)
	}
	return fmt.Errorf("can't listen on %q: %w", addr, err)
}

func otherPort(port string) string {
	if port == "8080" {
		return "3000"
	}
	return "8080"
}

// cleanPath makes "/x/" of whatever somebody may type for it.
func cleanPath(path string) (string, error) {
	trimmed := strings.Trim(path, "/")
	if trimmed == "" {
		return "", fmt.Errorf("--path %q would take the place of the pages; give it a name, such as /socket.io/", path)
	}
	first, _, _ := strings.Cut(trimmed, "/")
	switch first {
	case "chat", "lab", "assets", "healthz", "readyz":
		return "", fmt.Errorf("--path %q is one of the demo's own; choose another", path)
	}
	if strings.ContainsAny(trimmed, " ?#{}%\\\"") {
		return "", fmt.Errorf("--path %q has characters that don't belong into a path", path)
	}
	return "/" + trimmed + "/", nil
}

func checkOrigins(origins []string) error {
	for _, o := range origins {
		if o == "*" || strings.HasPrefix(o, "http://") || strings.HasPrefix(o, "https://") {
			continue
		}
		return fmt.Errorf("--cors %q is no origin; it begins with http:// or https://, or is *", o)
	}
	return nil
}
