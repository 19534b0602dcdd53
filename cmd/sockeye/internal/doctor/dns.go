package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// examineDNS looks the name up: all addresses of both families.
func (x *exam) examineDNS(ctx context.Context, s *Step) {
	host := x.base.Hostname()
	if p, err := http.ProxyFromEnvironment(&http.Request{URL: x.base}); err == nil && p != nil {
		x.viaProxy = p.Host
		s.skip("requests go through the proxy %s of the environment, which looks the name up", p.Host)
		return
	}
	if net.ParseIP(host) != nil {
		x.addresses = []string{host}
		s.skip("%s is an address", host)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	begun := time.Now()
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	took := time.Since(begun)
	if err != nil {
		x.broken = "the host has no address"
		s.evidence("lookup of %s: %v", host, err)
		if de, ok := errors.AsType[*net.DNSError](err); ok && !de.IsNotFound {
			s.problem("dns-failed", "The name "+host+" can't be looked up: "+de.Err+".",
				"Is this machine online, and does its resolver work? Try another name.")
			return
		}
		s.problem("dns-not-found", "There is no host "+host+".", "Is the name spelt right? A new one needs an A or AAAA record.")
		return
	}
	var v4, v6 int
	for _, a := range found {
		family := "IPv6"
		if a.IP.To4() != nil {
			family = "IPv4"
			v4++
		} else {
			v6++
		}
		x.addresses = append(x.addresses, a.String())
		s.evidence("%s: %s", family, a.String())
	}
	s.say("%s (%d IPv4, %d IPv6) in %s", strings.Join(x.addresses, ", "), v4, v6, ms(took))
	if took > time.Second {
		s.warning("dns-slow", fmt.Sprintf("Looking the name up took %s.", ms(took)), "Look at the resolver of this machine.")
	}
}

// ms is a duration for reading.
func ms(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
