package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	gonats "github.com/nats-io/nats.go"

	"github.com/sockeye-io/sockeye/adapter/nats"
)

// Options configure [Start].
type Options struct {
	// Name is that of the cluster; only servers of one name connect. Empty means "sockeye".
	Name string
	// Listen is where the other servers connect to, as HOST:PORT. Port 0 is any free one, see [Server.Addr]. Empty means
	// ":6222".
	Listen string
	// Advertise is what the others are told to connect to instead, as HOST:PORT, where Listen is not what they can reach,
	// such as behind NAT. Empty means the addresses that Listen stands for.
	Advertise string
	// Peers are addresses of other servers as HOST:PORT. A host name stands for all its addresses. This server may be
	// among them. None is fine if the others know this one.
	Peers []string
	// Secret is what the servers of the cluster share, 16 bytes or more.
	Secret []byte
	// MaxPayload is the largest message in bytes that is sent in one piece. Zero means 4 MiB.
	MaxPayload int
	// Logger receives, at level Info, which servers come and go, and at Warn what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// A Server is one server's part of the cluster. Its methods are safe for concurrent use.
type Server struct {
	token  string // that lets clients in
	peers  []peer
	nats   *server.Server
	make   func(routes []*url.URL) *server.Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once

	mu      sync.Mutex
	brokers []*nats.Broker
}

// A peer is an address as it was given.
type peer struct{ host, port string }

const (
	// pingInterval is how often it is made sure that a server is there; two that are not answered are its end.
	pingInterval = 3 * time.Second
	// lookupInterval is how often names are looked up again, and lookupTimeout how long that may take.
	lookupInterval = 5 * time.Second
	lookupTimeout  = 3 * time.Second
	startTimeout   = 10 * time.Second
	// watchInterval is how often it is looked whether servers have come, and greetAgain how much later it is made sure
	// that they were greeted: they may not be ready to hear it at once.
	watchInterval = 100 * time.Millisecond
	greetAgain    = time.Second
)

// Start starts a server, which looks for the others in the background.
func Start(o Options) (*Server, error) {
	if len(o.Secret) < 16 {
		return nil, errors.New("embedded: Options.Secret must have 16 bytes or more")
	}
	if o.Name == "" {
		o.Name = "sockeye"
	}
	if o.Listen == "" {
		o.Listen = ":6222"
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 4 << 20
	}
	if o.MaxPayload < 1024 || o.MaxPayload > 32<<20 {
		return nil, errors.New("embedded: Options.MaxPayload must be between 1 KiB and 32 MiB")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	host, port, err := splitAddress(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded: Options.Listen: %w", err)
	}
	if o.Advertise != "" {
		if _, _, err := splitAddress(o.Advertise); err != nil {
			return nil, fmt.Errorf("embedded: Options.Advertise: %w", err)
		}
	}
	s := &Server{log: o.Logger, token: rand.Text()}
	for _, p := range o.Peers {
		h, n, err := splitAddress(p)
		if err != nil || h == "" || n == 0 {
			return nil, fmt.Errorf("embedded: Options.Peers: %q is not HOST:PORT", p)
		}
		s.peers = append(s.peers, peer{h, strconv.Itoa(n)})
	}
	tls, err := tlsConfig(o.Secret, o.Name)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	name := "sockeye-" + rand.Text()
	s.make = func(routes []*url.URL) *server.Options {
		return &server.Options{
			ServerName: name,
			// Clients there are none but the one of this process. A server that does not listen for others does not form a
			// cluster, either; so it listens where nobody looks, to who knows what nobody is told.
			Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: s.token,
			NoSigs: true, NoLog: true,
			MaxPayload: int32(o.MaxPayload), MaxPending: 256 << 20,
			Routes:                routes,
			ConnectErrorReports:   60, // a minute of attempts
			ReconnectErrorReports: 60,
			Cluster: server.ClusterOpts{
				Name: o.Name, Host: host, Port: port, Advertise: o.Advertise,
				TLSConfig: tls, TLSTimeout: 5,
				NoAdvertise:  true, // of where clients connect to
				PoolSize:     -1,   // one connection between two servers, so that order is kept
				PingInterval: pingInterval, MaxPingsOut: 2,
				ConnectRetries: 10,
			},
		}
	}
	s.nats, err = server.NewServer(s.make(s.literal()))
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	failures := make(chan error, 1)
	s.nats.SetLoggerV2(&logger{log: o.Logger, failed: failures}, false, false, false)
	s.nats.Start()
	if err := s.await(failures); err != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.watch)
	if s.named() {
		s.wg.Go(s.follow)
	}
	return s, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not HOST:PORT", address)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q has no port between 0 and 65535", address)
	}
	return host, port, nil
}

// await waits until the server is ready.
func (s *Server) await(failures <-chan error) error {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); {
		if s.nats.ReadyForConnections(20 * time.Millisecond) {
			return nil
		}
		select {
		case err := <-failures:
			return err
		default:
		}
	}
	return errors.New("embedded: the server did not become ready")
}

// literal returns the peers that need no looking up.
func (s *Server) literal() []*url.URL {
	var routes []*url.URL
	for _, p := range s.peers {
		if net.ParseIP(p.host) != nil {
			routes = append(routes, route(p.host, p.port))
		}
	}
	return tidy(routes)
}

// tidy sorts addresses and removes what is there twice. The NATS server sorts lists itself, while it reads them.
func tidy(routes []*url.URL) []*url.URL {
	slices.SortFunc(routes, func(a, b *url.URL) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(routes, func(a, b *url.URL) bool { return a.Host == b.Host })
}

func (s *Server) named() bool {
	return slices.ContainsFunc(s.peers, func(p peer) bool { return net.ParseIP(p.host) == nil })
}

func route(host, port string) *url.URL {
	return &url.URL{Scheme: "nats-route", Host: net.JoinHostPort(host, port)}
}

// follow looks names up, again and again: servers come and go, and their names stay.
func (s *Server) follow() {
	last := map[peer][]string{}
	var current []string
	for {
		routes := s.literal()
		for _, p := range s.peers {
			if net.ParseIP(p.host) != nil {
				continue
			}
			ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
			addresses, err := net.DefaultResolver.LookupHost(ctx, p.host)
			cancel()
			if s.ctx.Err() != nil {
				return
			}
			if err != nil {
				if last[p] == nil {
					s.log.Warn("embedded: cannot look up a server", "name", p.host, "error", err)
				}
				addresses = last[p] // a name server that is down is no reason to leave
			}
			last[p] = addresses
			for _, a := range addresses {
				routes = append(routes, route(a, p.port))
			}
		}
		routes = tidy(routes)
		var names []string
		for _, u := range routes {
			names = append(names, u.Host)
		}
		if !slices.Equal(names, current) {
			if err := s.nats.ReloadOptions(s.make(routes)); err != nil {
				s.log.Warn("embedded: cannot change the list of servers", "error", err)
			} else {
				current = names
			}
		}
		select {
		case <-time.After(lookupInterval):
		case <-s.ctx.Done():
			return
		}
	}
}

// Open returns a broker that is connected to this server. URL and NATS of the options have no effect. Close it before the
// server.
func (s *Server) Open(o nats.Options) (*nats.Broker, error) {
	o.URL = ""
	o.NATS = []gonats.Option{gonats.InProcessServer(s.nats), gonats.Token(s.token)}
	b, err := nats.Open(o)
	if err == nil {
		s.mu.Lock()
		s.brokers = append(s.brokers, b)
		s.mu.Unlock()
	}
	return b, err
}

// watch has the brokers greet the servers that come. Their own connections, which are within the process, don't change.
func (s *Server) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	last := 0
	var again time.Time
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-ticker.C:
			n := s.nats.NumRoutes()
			more := n > last
			last = n
			if !more && (again.IsZero() || now.Before(again)) {
				continue
			}
			again = time.Time{}
			if more {
				again = now.Add(greetAgain)
			}
			s.mu.Lock()
			brokers := slices.Clone(s.brokers)
			s.mu.Unlock()
			for _, b := range brokers {
				b.Greet()
			}
		}
	}
}

// Addr returns where other servers connect to.
func (s *Server) Addr() net.Addr { return s.nats.ClusterAddr() }

// Peers returns how many other servers this one is connected to.
func (s *Server) Peers() int { return s.nats.NumRoutes() }

// Close leaves the cluster.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel()
		s.wg.Wait()
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	})
	return nil
}
