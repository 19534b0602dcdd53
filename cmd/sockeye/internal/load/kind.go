package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"syscall"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
)

// kindOf names an error so that a thousand of the same are one line.
func kindOf(err error) string {
	for _, k := range []struct {
		is   error
		name string
	}{
		{errNotConnected, "not connected"},
		{errMismatch, "answered something else than match asks for"},
		{errNotSeen, "not received in time"},
		{client.ErrServerV2, "the server speaks Socket.IO 2"},
		{client.ErrDisconnected, "connection lost"},
		{client.ErrBufferFull, "more than the connection takes"},
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.EADDRNOTAVAIL, "no local port left (see --local-address)"},
		{syscall.EMFILE, "no file left (ulimit -n)"},
		{syscall.ENFILE, "the machine has no file left"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.EPIPE, "connection reset"},
		{syscall.ENETUNREACH, "network unreachable"},
		{syscall.EHOSTUNREACH, "host unreachable"},
	} {
		if errors.Is(err, k.is) {
			return k.name
		}
	}
	if e, ok := errors.AsType[*client.ConnectError](err); ok {
		return "refused by the server: " + general(e.Message)
	}
	if e, ok := errors.AsType[*engine.RefusedError](err); ok {
		return fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status))
	}
	if _, ok := errors.AsType[*engine.NotEngineIOError](err); ok {
		return "not a Socket.IO server"
	}
	if _, ok := errors.AsType[*engine.TooLargeError](err); ok {
		return "larger than the server takes"
	}
	if e, ok := errors.AsType[*event.Error](err); ok {
		return "answered with error " + general(e.Code)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return "host name not found"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate not trusted (see --insecure)"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate is for another host"
	}
	var t interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout() {
		return "timeout"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "connection closed"
	}
	return general(err.Error())
}

var numbers = regexp.MustCompile(`[0-9]+`)

// general takes out of a text what differs from case to case.
func general(text string) string {
	return shorten(numbers.ReplaceAllString(text, "#"), 80)
}
