package clusterdemo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// A balancer sends every request to the next node.
type balancer struct {
	name   string
	remark string
	url    string
	failed chan error
	stop   func()
}

func startBalancer(ctx context.Context, o Options, dir string, nodes []*node) (*balancer, error) {
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	path, err := find("nginx")
	switch {
	case o.Balancer == "own":
		return ownBalancer(ln, nodes, ""), nil
	case err != nil && o.Balancer == "nginx":
		_ = ln.Close()
		return nil, errors.New("nginx is not installed (Debian: apt-get install nginx-light)")
	case err != nil:
		return ownBalancer(ln, nodes, "nginx was not found, so this program balances itself (Debian: apt-get install nginx-light)."), nil
	}
	addr := ln.Addr().(*net.TCPAddr)
	_ = ln.Close() // nginx listens there now
	return nginx(ctx, path, addr, dir, nodes)
}

// urlOf is what to open in a browser.
func urlOf(addr *net.TCPAddr) string {
	host := addr.IP.String()
	if addr.IP.IsLoopback() || addr.IP.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// nginxConfig is the configuration, with the folder, the servers and where to listen to be filled in. A node that can't be
// reached is left alone for a second; then it is tried again with the next request.
const nginxConfig = `%[1]sdaemon off;
master_process off;
pid %[2]s/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	map $http_upgrade $connection_upgrade { default upgrade; '' close; }
	upstream nodes {
%[3]s	}
	server {
		listen %[4]s;
		location / {
			proxy_pass http://nodes;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_read_timeout 60s;
			proxy_buffering off;
		}
	}
}
`

func nginx(ctx context.Context, path string, addr *net.TCPAddr, dir string, nodes []*node) (*balancer, error) {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	var servers strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&servers, "\t\tserver %s max_fails=1 fail_timeout=1s;\n", n.addr)
	}
	file := filepath.Join(dir, "nginx.conf")
	listen := addr.String()
	if addr.IP.IsUnspecified() {
		listen = fmt.Sprint(addr.Port) // to nginx, [::] is IPv6 only
	}
	config := fmt.Sprintf(nginxConfig, user, dir, servers.String(), listen)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := startProcess(exec.Command(path, "-p", dir, "-e", "stderr", "-c", file), nil)
	if err != nil {
		return nil, err
	}
	b := &balancer{name: "nginx", url: urlOf(addr), failed: make(chan error, 1), stop: p.stop}
	to := *addr
	if to.IP.IsUnspecified() {
		to.IP = net.IPv4(127, 0, 0, 1)
	}
	if err := awaitAddr(ctx, p, to.String()); err != nil {
		p.stop()
		return nil, fmt.Errorf("nginx does not start: %w", err)
	}
	go func() { b.failed <- p.ended() }()
	return b, nil
}

// ownBalancer does the same without nginx.
func ownBalancer(ln net.Listener, nodes []*node, remark string) *balancer {
	var turn atomic.Int64
	dialer := &net.Dialer{Timeout: time.Second}
	transport := &http.Transport{
		// Every request has a connection of its own, to the next node that takes it.
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
			next := turn.Add(1)
			for i := range nodes {
				conn, err = dialer.DialContext(ctx, network, nodes[(int(next)+i)%len(nodes)].addr)
				if err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
	}
	target := &url.URL{Scheme: "http", Host: "nodes"}
	quiet := log.New(io.Discard, "", 0)
	server := &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(target)
				p.SetXForwarded()
				p.Out.Host = p.In.Host
			},
			Transport:     transport,
			FlushInterval: -1, // a stream must not wait for a buffer to fill
			ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
			ErrorLog:      quiet,
		},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
	}
	b := &balancer{name: "a round-robin proxy", remark: remark, url: urlOf(ln.Addr().(*net.TCPAddr)), failed: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.failed <- server.Serve(ln)
	}()
	b.stop = func() {
		_ = server.Close()
		transport.CloseIdleConnections()
		<-done
	}
	return b
}
