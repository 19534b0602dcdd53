// Package daemon runs real reverse proxies, nginx and HAProxy from the distribution, in front of a server. They listen
// on Unix sockets, to which a forwarder on a free TCP port leads: neither can pick a free port by itself.
package daemon

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// NginxDefault passes requests on and sets nothing else: to the server it speaks HTTP/1.0, it drops Upgrade, and it
// buffers responses.
const NginxDefault = `proxy_pass http://backend;`

// NginxUpgrade is what every guide to WebSocket behind nginx says.
const NginxUpgrade = `proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;`

// NginxRoute sends a client to the server that it had before, by a cookie that nginx makes. These lines belong outside
// of the location, see [NginxBalancer].
const NginxRoute = `map $cookie_route $route { default $cookie_route; '' $request_id; }
	map $cookie_route $set_route { default ''; '' "route=$request_id; Path=/; HttpOnly"; }
	add_header Set-Cookie $set_route;`

// Nginx starts nginx with the directives in its one location, in front of the upstream server, "host:port" or
// "unix:/path", and returns host:port.
func Nginx(t testing.TB, upstream, directives string) string {
	t.Helper()
	return NginxBalancer(t, "", "server "+upstream+";", directives)
}

// NginxBalancer is Nginx with the whole block of its upstream "backend", and with lines for the block around the server.
func NginxBalancer(t testing.TB, around, upstream, directives string) string {
	t.Helper()
	return nginx(t, around, upstream, directives, ";")
}

// NginxTLS is [Nginx] with TLS, with a certificate and its key from two PEM files.
func NginxTLS(t testing.TB, upstream, directives, cert, key string) string {
	t.Helper()
	return nginx(t, "", "server "+upstream+";", directives, fmt.Sprintf(" ssl; ssl_certificate %s; ssl_certificate_key %s;", cert, key))
}

// nginx is [NginxBalancer] with what follows the address to listen on.
func nginx(t testing.TB, around, upstream, directives, listen string) string {
	t.Helper()
	path := kit.Need(t, "nginx")
	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := fmt.Sprintf(`%s
daemon off;
master_process off;
pid %[2]s/pid;
error_log stderr;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	gzip on;
	map $http_upgrade $connection_upgrade { default upgrade; '' close; }
	%[5]s
	upstream backend { %[3]s }
	server {
		listen unix:%[2]s/sock%[6]s
		location / {
			%[4]s
		}
	}
}
`, user, dir, upstream, directives, around, listen)
	return run(t, dir, config, path, "-p", dir, "-e", "stderr", "-c")
}

// HAProxy starts HAProxy with its defaults and usual timeouts in front of a server, and returns host:port.
func HAProxy(t testing.TB, upstream string) string {
	t.Helper()
	return HAProxyBalancer(t, "server one "+upstream)
}

// HAProxyBalancer is HAProxy with the whole of its backend.
func HAProxyBalancer(t testing.TB, backend string) string {
	t.Helper()
	path := kit.Need(t, "haproxy")
	dir := t.TempDir()
	config := fmt.Sprintf(`global
	maxconn 512
defaults
	mode http
	timeout connect 5s
	timeout client 50s
	timeout server 50s
frontend web
	bind unix@%s/sock
	default_backend app
backend app
	%s
`, dir, backend)
	return run(t, dir, config, path, "-db", "-f")
}

// run starts the program with its configuration as the last argument, and waits until it takes connections.
func run(t testing.TB, dir, config, path string, args ...string) string {
	t.Helper()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, file)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s:\n%s", path, output.String())
		}
	})
	sock := filepath.Join(dir, "sock")
	kit.Eventually(t, path+" to listen", func() bool {
		select {
		case <-exited:
			t.Fatalf("%s ended:\n%s", path, output.String())
		default:
		}
		c, err := net.Dial("unix", sock)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
	return forward(t, sock)
}

// forward carries connections from a free TCP port to a Unix socket, byte by byte.
func forward(t testing.TB, sock string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]struct{}{}
	track := func(c net.Conn) func() {
		mu.Lock()
		defer mu.Unlock()
		conns[c] = struct{}{}
		return func() {
			_ = c.Close()
			mu.Lock()
			defer mu.Unlock()
			delete(conns, c)
		}
	}
	open.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer track(client)()
				server, err := net.Dial("unix", sock)
				if err != nil {
					return
				}
				defer track(server)()
				back := make(chan struct{})
				go func() {
					defer close(back)
					_, _ = io.Copy(client, server)
					_ = client.Close()
				}()
				_, _ = io.Copy(server, client)
				_ = server.Close()
				<-back
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return ln.Addr().String()
}
