package load

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// A LimitError says that the machine does not have what a plan needs, and what would help.
type LimitError struct {
	text string
}

func (e *LimitError) Error() string { return e.text }

// spareFiles are for what is open besides connections: the terminal, the poller, files of the report, name lookups.
const spareFiles = 64

// Check completes the plan, and says whether this machine can carry it out. It raises the limit of open files as far as
// it may. The error is a *LimitError if the machine is too small, and otherwise about the plan.
func (p *Plan) Check() error {
	if err := p.complete(); err != nil {
		return err
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		return fmt.Errorf("%q is no URL such as http://localhost:3000", p.URL)
	}
	for _, a := range p.Local {
		if net.ParseIP(a) == nil {
			return fmt.Errorf("local address %q is no IP address", a)
		}
	}
	conns := p.connections()
	if files, ok := raiseFiles(conns + spareFiles); ok && files < conns+spareFiles {
		fit := (files - spareFiles) * p.Clients / conns
		return &LimitError{fmt.Sprintf(`%s clients need about %s open files, and this process may have %s.
  --clients %d is what fits. For more, raise the limit before the start: "ulimit -n %d" where the hard limit
  ("ulimit -Hn") allows it, "LimitNOFILE=" for a service, "--ulimit nofile=" for a container, else /etc/security/limits.conf.`,
			formatNumber(float64(p.Clients)), formatNumber(float64(conns+spareFiles)), formatNumber(float64(files)), max(fit, 0), conns+spareFiles)}
	}
	if ports, ok := localPorts(); ok {
		if have := ports * max(1, len(p.Local)); have < conns {
			more := (conns + ports - 1) / ports
			hint := "addresses of this machine"
			if isLoopback(u.Hostname()) {
				hint = "127.0.0.2,127.0.0.3,… (every address that begins with 127. is this machine)"
			}
			return &LimitError{fmt.Sprintf(`%s clients need about %s local ports, and from %d address(es) there are %s to one server.
  A connection is told from others by both addresses and both ports, so more local addresses make more connections:
  --local-address with %d of %s. Or widen net.ipv4.ip_local_port_range.`,
				formatNumber(float64(p.Clients)), formatNumber(float64(conns)), max(1, len(p.Local)), formatNumber(float64(have)), more, hint)}
		}
	}
	return nil
}

// connections is how many a plan needs at the same time. A request of polling and the answer that is waited for take one
// each, and so do a stream and the requests beside it.
func (p *Plan) connections() int {
	weights := make([]int, len(p.Mix))
	for i, s := range p.Mix {
		weights[i] = s.Weight
	}
	n := 0
	for _, i := range spread(p.Clients, weights) {
		n++
		if t := p.Mix[i].Transports; !slices.Equal(t, []string{"websocket"}) {
			n++
		}
	}
	return n
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
