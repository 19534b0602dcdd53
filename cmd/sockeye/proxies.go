package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
)

// frontFlags are about what is in front of "sockeye serve": proxies, load balancers, and what restarts it.
type frontFlags struct {
	TrustedProxies []string      `placeholder:"NETWORK" help:"Proxies in front, as 10.0.0.0/8 or 10.0.0.7 with commas between them, whose X-Forwarded-For, -Proto and -Host (or Forwarded) are believed. They must set or remove these headers."`
	ProxyProtocol  bool          `help:"Connections of --trusted-proxies begin with a header of the PROXY protocol, version 1 or 2 (HAProxy: send-proxy). Others are taken without."`
	Drain          time.Duration `default:"10s" help:"How long clients have to go elsewhere after SIGTERM; 0 lets all go at once."`
}

// networks parses --trusted-proxies.
func (f *frontFlags) networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range f.TrustedProxies {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("--trusted-proxies %q is neither a network, such as 10.0.0.0/8, nor an address", s)
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		all = append(all, p)
	}
	if f.ProxyProtocol && len(all) == 0 {
		return nil, errors.New("--proxy-protocol needs --trusted-proxies: anybody else could choose an address")
	}
	return all, nil
}

// headerTime is how long a proxy may take to send the header of the PROXY protocol.
const headerTime = 5 * time.Second

// listener returns the listener, with the PROXY protocol on connections of the trusted proxies if wanted.
func (f *frontFlags) listener(ln net.Listener, trusted []netip.Prefix) net.Listener {
	if !f.ProxyProtocol {
		return ln
	}
	return &proxyproto.Listener{
		Listener: ln,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			peer, _ := netip.ParseAddrPort(o.Upstream.String())
			for _, p := range trusted {
				if p.Contains(peer.Addr().Unmap().WithZone("")) {
					return proxyproto.REQUIRE, nil
				}
			}
			return proxyproto.SKIP, nil // a header would be a bad request
		},
		ReadHeaderTimeout: headerTime,
	}
}
