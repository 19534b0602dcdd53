package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/peers/announce"
	"github.com/sockeye-io/sockeye/peers/tunnel"
	"github.com/sockeye-io/sockeye/socketio"
)

// clusterFlags make "sockeye serve" one of several servers.
type clusterFlags struct {
	Cluster       []string `placeholder:"ADDRESS" help:"Other servers to act as one with, as nats://HOST:PORT with commas between them; a host name stands for all its addresses. This server may be among them."`
	ClusterListen string   `placeholder:"ADDRESS" help:"Where the other servers connect to, as HOST:PORT. \":6222\" if --cluster is given. May be given without --cluster on a server that the others know."`
	Redis         string   `placeholder:"URL" help:"Other servers to act as one with are all those that use this Redis (redis://, rediss:// or unix://); there is no need for the two above then."`
	ClusterSecret string   `env:"SOCKEYE_CLUSTER_SECRET" placeholder:"TEXT" help:"What the servers of the cluster share, 16 characters or more. Better given as SOCKEYE_CLUSTER_SECRET: others on this machine can see the command line."`
	NodeID        string   `placeholder:"NAME" help:"The name of this server among the others: up to 4 letters and digits. One at random by default."`
	NodeURL       string   `name:"node-url" placeholder:"URL" help:"Where the other servers reach this one's --addr, such as http://10.0.0.2:3000. Found out by default. \"broker\": they don't, and go by way of the broker."`
}

func (f *clusterFlags) wanted() bool {
	return len(f.Cluster) > 0 || f.ClusterListen != "" || f.Redis != ""
}

// meetTime is how long a server waits for the first of the others before it serves.
const meetTime = 2 * time.Second

// A membership is a server's place in a cluster. What joins it, an embedded NATS or a Redis, is there and the other not.
type membership struct {
	peers   *peers.Peers
	adapter adapter.Factory
	url     string // where others reach this server
	secret  []byte
	log     *slog.Logger
	carrier *lateCarrier
	tunnel  *tunnel.Tunnel

	node      *embedded.Server
	broker    *nats.Broker
	directory *nats.Directory

	redis    *redis.Broker
	late     *lateDirectory
	announce *announce.Directory
}

// join joins a cluster. The address is where this server serves.
func (f *clusterFlags) join(ctx context.Context, addr net.Addr, log *slog.Logger) (joined *membership, err error) {
	if len(f.ClusterSecret) < 16 {
		return nil, errors.New("a cluster needs a secret of 16 characters or more, the same on every server: set SOCKEYE_CLUSTER_SECRET")
	}
	if f.Redis != "" && (len(f.Cluster) > 0 || f.ClusterListen != "") {
		return nil, errors.New("--redis and --cluster are two ways to be one of several servers; choose one")
	}
	m := &membership{url: f.NodeURL, late: new(lateDirectory), carrier: new(lateCarrier), secret: []byte(f.ClusterSecret), log: log}
	if m.url == "" {
		m.url = ownURL(addr)
	} else if m.url == "broker" {
		m.url = peers.ViaBroker
	} else if u, err := url.Parse(m.url); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("--node-url %q is neither http://HOST:PORT nor \"broker\"", m.url)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.leave())
		}
	}()
	secret := []byte(f.ClusterSecret)
	if m.peers, err = peers.New(peers.Options{ID: f.NodeID, Directory: m.late, Carrier: m.carrier, Secret: secret, Logger: log}); err != nil {
		return nil, err
	}
	if f.Redis != "" {
		err = m.joinRedis(ctx, f.Redis, log)
	} else {
		err = m.joinNATS(ctx, f, secret, log)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *membership) joinNATS(ctx context.Context, f *clusterFlags, secret []byte, log *slog.Logger) (err error) {
	var others []string
	for _, s := range f.Cluster {
		address := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "nats://"), "/")
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--cluster %q is not nats://HOST:PORT", s)
		}
		others = append(others, address)
	}
	if m.node, err = embedded.Start(embedded.Options{Listen: f.ClusterListen, Peers: others, Secret: secret, Logger: log}); err != nil {
		return err
	}
	if m.broker, err = m.node.Open(nats.Options{Logger: log}); err != nil {
		return err
	}
	m.meet(ctx, len(others) > 0)
	if m.directory, err = m.broker.Directory(nats.DirectoryOptions{ID: m.peers.ID(), URL: m.url}); err != nil {
		return err
	}
	m.late.set(m.directory)
	m.adapter = m.broker.Adapter()
	return nil
}

func (m *membership) joinRedis(ctx context.Context, rawURL string, log *slog.Logger) (err error) {
	logging.Disable() // the client's own; the broker says what matters
	if m.redis, err = openRedis(rawURL, "", log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	if err := m.redis.Ping(ctx); err != nil {
		return codeError{exitConnect, "cannot reach Redis: " + err.Error()}
	}
	m.adapter = m.redis.Classic()
	return nil
}

// opened serves what others carry here by way of the broker, and tells them where the server is, if that goes by way of
// its own adapter.
func (m *membership) opened(io *socketio.Server, handler http.Handler) (err error) {
	var bus tunnel.Bus
	if m.redis != nil {
		bus = m.redis.PeerBus()
	} else {
		bus = m.broker.PeerBus()
	}
	m.tunnel, err = tunnel.New(tunnel.Options{ID: m.peers.ID(), Bus: bus, Secret: m.secret, Handler: handler, Logger: m.log})
	if err != nil {
		return err
	}
	m.carrier.t.Store(m.tunnel)
	if m.redis == nil {
		return nil
	}
	if m.announce, err = announce.New(io.Of("/"), announce.Options{ID: m.peers.ID(), URL: m.url}); err != nil {
		return err
	}
	m.late.set(m.announce)
	return nil
}

// closing tells the others that the server is about to go.
func (m *membership) closing() error {
	if m.announce == nil {
		return nil
	}
	return m.announce.Close()
}

// A lateDirectory is given when the name of the server is known, or the server is there.
type lateDirectory struct {
	d atomic.Pointer[peers.Directory]
}

func (l *lateDirectory) set(d peers.Directory) { l.d.Store(&d) }

// Lookup implements [peers.Directory].
func (l *lateDirectory) Lookup(id string) (baseURL string, ok bool) {
	if d := l.d.Load(); d != nil {
		return (*d).Lookup(id)
	}
	return "", false
}

// A lateCarrier is given when the server is there.
type lateCarrier struct {
	t atomic.Pointer[tunnel.Tunnel]
}

// Dial implements [peers.Carrier].
func (l *lateCarrier) Dial(ctx context.Context, id string) (net.Conn, error) {
	if t := l.t.Load(); t != nil {
		return t.Dial(ctx, id)
	}
	return nil, tunnel.ErrClosed
}

// meet waits a moment for another server, so that the first clients find a cluster.
func (m *membership) meet(ctx context.Context, expected bool) {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for expected && m.node.Peers() == 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// leave ends what join began; the Socket.IO server is closed before.
func (m *membership) leave() error {
	var errs []error
	if m.tunnel != nil {
		errs = append(errs, m.tunnel.Close())
	}
	if m.redis != nil {
		errs = append(errs, m.redis.Close())
	}
	if m.directory != nil {
		errs = append(errs, m.directory.Close())
	}
	if m.broker != nil {
		errs = append(errs, m.broker.Close())
	}
	if m.peers != nil {
		errs = append(errs, m.peers.Close())
	}
	if m.node != nil {
		errs = append(errs, m.node.Close())
	}
	return errors.Join(errs...)
}

// text tells how other servers join.
func (m *membership) text() string {
	if m.redis != nil {
		return fmt.Sprintf("  Node            %s, joined by others with the same --redis\n\n", m.peers.ID())
	}
	return fmt.Sprintf("  Node            %s, joined by others with --cluster nats://%s\n\n", m.peers.ID(), m.node.Addr())
}

// ownURL guesses where other servers reach an address of this machine.
func ownURL(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
		if hosts, _ := reachableAs(addr); len(hosts) > 1 {
			host = hosts[1]
		}
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}
