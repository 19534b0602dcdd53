//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sockeye-io/sockeye/bench/internal/process"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// runServer is the process that is measured. It ends with its standard input.
func runServer(secure bool, ping time.Duration) error {
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	if secure {
		cert, err := certificate()
		if err != nil {
			return err
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	// A connection must not die of a busy machine.
	server := socketio.NewServer(&socketio.Options{Engine: engineio.Options{PingInterval: ping, PingTimeout: time.Minute}})
	go func() { _ = http.Serve(ln, server) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sizing"},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// A server is the process, seen from outside.
type server struct {
	process.Process
	addr string
	end  func()
}

func startServer(args ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{"-serve"}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, err
	}
	return &server{process.Process{PID: cmd.Process.Pid}, strings.TrimSpace(line), func() {
		_ = stdin.Close()
		_ = cmd.Wait() // it has nothing to say
	}}, nil
}

// join opens a connection and joins the namespace "/".
func join(addr string, conf *tls.Config) (net.Conn, error) {
	scheme := "ws"
	if conf != nil {
		scheme = "wss"
	}
	conn, ahead, _, err := ws.Dialer{TLSConfig: conf, Timeout: 20 * time.Second}.Dial(context.Background(), scheme+"://"+addr+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // reading fails if this does
	if ahead != nil {
		defer ws.PutReader(ahead)
		rest := make([]byte, ahead.Buffered())
		if _, err := io.ReadFull(ahead, rest); err != nil {
			return nil, err
		}
		conn = &readAhead{conn, rest}
	}
	if _, err := wsutil.ReadServerText(conn); err != nil {
		return nil, err
	}
	if err := wsutil.WriteClientText(conn, []byte("40")); err != nil {
		return nil, err
	}
	if _, err = wsutil.ReadServerText(conn); err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// readAhead is a connection of which some was read already.
type readAhead struct {
	net.Conn
	rest []byte
}

func (r *readAhead) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// joinAll opens n connections, a few at a time. Each answers pings until it is closed.
func joinAll(n int, addr string, conf *tls.Config) (closeAll func(), err error) {
	conns := make([]net.Conn, n)
	errs := make([]error, n)
	var wg, readers sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if conns[i], errs[i] = join(addr, conf); errs[i] != nil {
				return
			}
			readers.Go(func() {
				for {
					data, err := wsutil.ReadServerText(conns[i])
					if err != nil {
						return
					}
					if string(data) == "2" {
						if wsutil.WriteClientText(conns[i], []byte("3")) != nil {
							return
						}
					}
				}
			})
		})
	}
	wg.Wait()
	return func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
		readers.Wait()
	}, errors.Join(errs...)
}

// connections measures what connections cost.
func connections(n int, secure bool) error {
	s, err := startServer("-tls="+strconv.FormatBool(secure), "-ping=1h")
	if err != nil {
		return err
	}
	var conf *tls.Config
	name := "plain"
	if secure {
		conf, name = &tls.Config{InsecureSkipVerify: true}, "TLS 1.3" // our own certificate
	}
	// Some come and go before, so that what the process keeps for good is not counted.
	leave, err := joinAll(200, s.addr, conf)
	if err != nil {
		return err
	}
	leave()
	before, err := s.Collected()
	if err != nil {
		return err
	}
	kernel := kernelMemory()
	cpu, began := cpuOf(s.PID), time.Now()
	leave, err = joinAll(n, s.addr, conf)
	if err != nil {
		return err
	}
	connect, took := cpuOf(s.PID)-cpu, time.Since(began)
	after, err := s.Collected()
	if err != nil {
		return err
	}
	kernel = kernelMemory() - kernel
	fmt.Printf("  %-8s  memory of the process %5.2f KB   of the kernel %4.1f KB (half of what both ends of a connection take)\n",
		name, float64(after-before)/float64(n)/1024, float64(kernel)/float64(2*n)/1024)
	fmt.Printf("  %-8s  CPU to connect %.0f µs, %.0f a second with clients on the same machine\n", "",
		float64(connect.Microseconds())/float64(n), float64(n)/took.Seconds())
	leave()
	s.end()

	// Heartbeats, one a second instead of one in 25.
	if s, err = startServer("-tls="+strconv.FormatBool(secure), "-ping=1s"); err != nil {
		return err
	}
	if leave, err = joinAll(n, s.addr, conf); err != nil {
		return err
	}
	time.Sleep(time.Second)
	cpu, began = cpuOf(s.PID), time.Now()
	time.Sleep(8 * time.Second)
	beats := float64(n) * time.Since(began).Seconds()
	fmt.Printf("  %-8s  CPU of a heartbeat %.1f µs\n", "", float64((cpuOf(s.PID)-cpu).Microseconds())/beats)
	leave()
	s.end()
	return nil
}

// kernelMemory is what the kernel has in use for its objects and for buffers of TCP, in bytes.
func kernelMemory() int64 {
	var total int64
	info, _ := os.ReadFile("/proc/meminfo") // 0 where there is none
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "Slab:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			total += kb << 10
		}
	}
	stat, _ := os.ReadFile("/proc/net/sockstat")
	for line := range strings.Lines(string(stat)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "TCP:" {
			pages, _ := strconv.ParseInt(f[len(f)-1], 10, 64)
			total += pages * int64(os.Getpagesize())
		}
	}
	return total
}
