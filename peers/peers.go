package peers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// A Directory knows where the servers are. It must be safe for concurrent use and answer at once: it is asked for every
// request that arrives at the wrong server. The names it is asked for come from clients; what it returns must not.
type Directory interface {
	// Lookup returns the base URL of a server, such as "http://10.0.0.2:3000", or [ViaBroker], and whether there is one
	// of that name.
	Lookup(id string) (baseURL string, ok bool)
}

// Static is a Directory that does not change.
type Static map[string]string

// Lookup implements [Directory].
func (s Static) Lookup(id string) (string, bool) {
	u, ok := s[id]
	return u, ok
}

// Options configure [New].
type Options struct {
	// ID is the name of this server: up to 4 characters of A-Z, a-z and 0-9, different from those of the others. Empty
	// makes one of 4 at random, which a Directory that learns of servers by itself can do with.
	ID string
	// Directory knows the other servers.
	Directory Directory
	// Secret is what the servers share, 16 bytes or more. A request that claims to be carried by another server counts
	// as one only if it is signed with it.
	Secret []byte
	// Transport makes the requests to other servers. Nil is one of its own that keeps connections for reuse.
	Transport http.RoundTripper
	// Carrier reaches servers of which the Directory says [ViaBroker], and those that can't be connected to. Nil means
	// that these can't be reached.
	Carrier Carrier
	// Logger receives, at level Warn, that a server can't be reached. Nil means slog.Default().
	Logger *slog.Logger
}

// idLen is how many characters of a session's id name its server. 36 bits are enough for 10,000 servers that choose at
// random to be all different with a probability of 0.999, and the 16 characters that are left are 96 random bits.
const idLen = 4

// Peers is one server among others. All methods are safe for concurrent use.
type Peers struct {
	id        string
	prefix    string // id, filled up to idLen
	signer    signer
	directory Directory
	proxy     httputil.ReverseProxy
	transport *http.Transport // if it is our own
	route     *route          // if there is a carrier
	log       *slog.Logger
	stats     counters

	ctx      context.Context // until Close
	cancel   context.CancelFunc
	watching sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	peers    map[string]*peer // by name
}

type counters struct{ carried, unknown, unreachable, rejected atomic.Int64 }

// Stats are counts since the start.
type Stats struct {
	Carried     int64 // requests passed on to another server
	Unknown     int64 // requests for servers that the Directory doesn't know
	Unreachable int64 // requests that could not be passed on
	Rejected    int64 // requests with a signature that is wrong or too old
}

// New returns a server's place among its peers, or what is wrong with the options.
func New(opts Options) (*Peers, error) {
	if opts.Directory == nil {
		return nil, errors.New("peers: Options.Directory is missing")
	}
	if len(opts.Secret) < 16 {
		return nil, errors.New("peers: Options.Secret must have 16 bytes or more")
	}
	id := opts.ID
	if id == "" {
		id = randomID()
	}
	if len(id) > idLen || strings.Trim(id, alphabet) != "" {
		return nil, fmt.Errorf("peers: Options.ID is %q; it must be up to %d characters of A-Z, a-z, 0-9", id, idLen)
	}
	p := &Peers{id: id, prefix: id + strings.Repeat(filler, idLen-len(id)), signer: newSigner(opts.Secret),
		directory: opts.Directory, log: opts.Logger,
		peers: make(map[string]*peer)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if p.log == nil {
		p.log = slog.Default()
	}
	transport := opts.Transport
	if transport == nil {
		p.transport = &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			// A held poll occupies a connection, so there is no limit on how many there are; these are for reuse.
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true, // as it came, so it goes
		}
		transport = p.transport
	}
	if opts.Carrier != nil {
		p.route = newRoute(transport, opts.Carrier)
		transport = p.route
	}
	p.proxy = httputil.ReverseProxy{
		Rewrite:       p.rewrite,
		Transport:     transport,
		FlushInterval: -1, // a stream must not wait for a buffer to fill
		ErrorHandler:  p.failed,
		ErrorLog:      log.New(io.Discard, "", 0), // that clients break off is nothing to log
	}
	return p, nil
}

// dialTimeout bounds how long a request waits for a server that does not answer: clients know better what to do.
const dialTimeout = 3 * time.Second

const (
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	filler   = "-"
)

func randomID() string {
	var id [idLen]byte
	for i := range id {
		for {
			var b [1]byte
			rand.Read(b[:]) // never fails
			if int(b[0]) < 4*len(alphabet) {
				id[i] = alphabet[int(b[0])%len(alphabet)]
				break
			}
		}
	}
	return string(id[:])
}

// ID returns the name of this server.
func (p *Peers) ID() string { return p.id }

// Configure makes an Engine.IO server one of the peers: it sets GenerateID and Foreign.
func (p *Peers) Configure(o *engineio.Options) {
	o.GenerateID = p.GenerateID
	o.Foreign = p.Foreign
}

// GenerateID is for [engineio.Options]: an id of 20 characters that begins with the name of this server and has 96
// random bits.
func (p *Peers) GenerateID(*http.Request) (string, error) {
	var random [12]byte
	rand.Read(random[:]) // never fails
	return p.prefix + base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// owner returns the name of the server that a session lives on.
func owner(sid string) (string, bool) {
	if len(sid) != idLen+16 {
		return "", false
	}
	id := strings.TrimRight(sid[:idLen], filler)
	return id, id != "" && strings.Trim(id, alphabet) == ""
}

type contextKey struct{}

// Foreign is for [engineio.Options]: it carries a request to the server that its session lives on, and reports whether
// there is one.
func (p *Peers) Foreign(w http.ResponseWriter, r *http.Request, sid string) bool {
	id, ok := owner(sid)
	if !ok || id == p.id {
		return false
	}
	if hop := r.Header.Get(hopHeader); hop != "" {
		// Who carried it here took us for id. It goes no further, whoever it was.
		if !p.signer.check(hop, r, time.Now()) {
			p.stats.rejected.Add(1)
		}
		return false
	}
	base, ok := p.directory.Lookup(id)
	if !ok {
		p.stats.unknown.Add(1)
		return false
	}
	target, err := p.target(id, base)
	if err != nil || target.Host == "" {
		p.log.Warn("peers: the directory has an address that is none", "server", id, "address", base)
		return false
	}
	t := &trip{id: id, base: base, to: target}
	ctx, cancel := context.WithCancel(context.WithValue(context.WithValue(r.Context(), contextKey{}, t), idKey{}, id))
	defer cancel()
	t.cancel = cancel
	if !p.depart(t, r.URL.Path) {
		p.stats.unreachable.Add(1)
		return false
	}
	defer p.arrived(t)
	p.stats.carried.Add(1)
	p.proxy.ServeHTTP(w, r.WithContext(ctx))
	return !t.failed
}

// target returns where a server is that the directory has an address of.
func (p *Peers) target(id, base string) (*url.URL, error) {
	if base == ViaBroker && p.route != nil {
		return carriedURL(id), nil
	}
	return url.Parse(base)
}

// A trip is a request that is carried.
type trip struct {
	id     string // of the other server
	base   string // its address, as the Directory has it
	to     *url.URL
	peer   *peer
	cancel context.CancelFunc
	gone   atomic.Bool // it was cancelled because the other server is gone
	failed bool        // nothing has been answered yet
}

func (p *Peers) rewrite(r *httputil.ProxyRequest) {
	target := r.In.Context().Value(contextKey{}).(*trip).to
	r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	r.Out.Host = r.In.Host // which the origin of a page is compared with
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		// As they came: the other server trusts them as much as this one does.
		if values := r.In.Header[name]; values != nil {
			r.Out.Header[name] = values
		}
	}
	r.Out.Header.Set(hopHeader, p.signer.sign(p.id, r.Out, time.Now()))
}

// failed is a server that can't be reached. This one then answers that it doesn't know the session.
func (p *Peers) failed(w http.ResponseWriter, r *http.Request, err error) {
	t := r.Context().Value(contextKey{}).(*trip)
	if r.Context().Err() != nil && !t.gone.Load() {
		return // the client has left
	}
	t.failed = true
	p.stats.unreachable.Add(1)
	if t.gone.Load() {
		return // which was logged once for all that waited
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		p.failing(t)
	}
	p.log.Warn("peers: cannot reach the server of a session", "address", t.to.Host, "error", withoutURL(err))
}

// withoutURL keeps session ids, which are as good as passwords, out of the log.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// Carried reports whether a request was carried here by another server, which has signed it. Then the address that it
// comes from is that server's.
func (p *Peers) Carried(r *http.Request) bool {
	hop := r.Header.Get(hopHeader)
	return hop != "" && p.signer.check(hop, r, time.Now())
}

// Stats returns the counters.
func (p *Peers) Stats() Stats {
	return Stats{
		Carried:     p.stats.carried.Load(),
		Unknown:     p.stats.unknown.Load(),
		Unreachable: p.stats.unreachable.Load(),
		Rejected:    p.stats.rejected.Load(),
	}
}

// Close ends the watch over other servers, and closes the connections to them that are kept for reuse. From then on
// nothing is carried any more; close the server before, so that its requests have ended.
func (p *Peers) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.watching.Wait()
	if p.transport != nil {
		p.transport.CloseIdleConnections()
	}
	if p.route != nil {
		p.route.carried.CloseIdleConnections()
	}
	return nil
}
