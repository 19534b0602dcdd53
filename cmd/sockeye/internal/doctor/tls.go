package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// expiresSoon is when a certificate should have been renewed: the usual tools do it 30 days before the end, so that two
// weeks mean that they don't.
const expiresSoon = 14 * 24 * time.Hour

// examineTLS makes a handshake without verification, and verifies by itself, so as to find everything that is wrong at
// once.
func (x *exam) examineTLS(ctx context.Context, s *Step) {
	if x.base.Scheme != "https" {
		s.skip("plain http")
		return
	}
	if x.viaProxy != "" {
		s.skip("requests go through the proxy %s", x.viaProxy)
		return
	}
	state, err := x.greet(ctx)
	if err != nil {
		x.failTLS(ctx, s, err)
		return
	}
	leaf := state.PeerCertificates[0]
	s.evidence("%s, %s, certificate for %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), names(leaf))
	s.evidence("issued by %q, valid from %s to %s, %d certificates sent", leaf.Issuer.CommonName,
		leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly), len(state.PeerCertificates))
	left := time.Until(leaf.NotAfter)
	s.say("%s, certificate for %s, valid for %d days more", tls.VersionName(state.Version), names(leaf), int(left.Hours()/24))
	if state.Version < tls.VersionTLS12 {
		s.warning("tls-old", tls.VersionName(state.Version)+" is the best that the server speaks; browsers refuse it.", "Turn TLS 1.2 and 1.3 on.").
			config("nginx: ssl_protocols TLSv1.2 TLSv1.3;")
	}
	x.verify(s, leaf, state.PeerCertificates[1:])
	if left > 0 && left < expiresSoon {
		s.warning("tls-expires-soon", fmt.Sprintf("The certificate ends in %d days.", int(left.Hours()/24)), "Renew it, and find out why that didn't happen by itself.")
	}
	if !hasProblem(s) {
		return
	}
	x.unverified = true
	switch {
	case x.opts.Insecure:
		s.evidence("--insecure: everything else was examined without regard to the certificate")
	case x.credentials():
		x.broken = "the certificate is not valid, and credentials are not sent to just anybody; --insecure does"
	default:
		s.evidence("everything else was examined without regard to the certificate; clients don't get that far")
	}
}

// greet makes a TLS handshake with the first address that takes a connection.
func (x *exam) greet(ctx context.Context) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(x.base.Hostname(), x.port()))
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{
		ServerName:         x.base.Hostname(),
		InsecureSkipVerify: true, // verify does it, and says what is wrong
		MinVersion:         tls.VersionTLS10,
		NextProtos:         []string{"h2", "http/1.1"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	return &state, nil
}

// failTLS says why there was no handshake.
func (x *exam) failTLS(ctx context.Context, s *Step, err error) {
	s.evidence("handshake: %v", plainError(err, x.opts.Timeout))
	x.broken = "there is no TLS connection"
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		plain := *x.base
		plain.Scheme = "http"
		here := *x
		here.base = &plain
		a, err := here.do(ctx, ask{transport: "polling"})
		if err == nil {
			s.evidence("without TLS: %v", a)
		}
		s.problem("tls-plain-http", "The port speaks plain HTTP, not TLS.",
			"Use http:// in the URL, or turn TLS on there. Pages that come by https can only connect to https.")
		return
	}
	s.problem("tls-handshake", "The TLS handshake failed: "+plainError(err, x.opts.Timeout).Error()+".",
		"Does the server have a certificate for this name (SNI), and TLS 1.2 or 1.3 turned on?")
}

// verify checks name, time and chain of a certificate each by itself.
func (x *exam) verify(s *Step, leaf *x509.Certificate, rest []*x509.Certificate) {
	host := x.base.Hostname()
	if err := leaf.VerifyHostname(host); err != nil {
		s.problem("tls-name", fmt.Sprintf("The certificate is for %s, not for %s.", names(leaf), host),
			"Use a name that the certificate has, or get one that has this name.")
	}
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		s.problem("tls-expired", "The certificate ended on "+leaf.NotAfter.UTC().Format(time.DateOnly)+".", "Renew it, and reload the server.")
	case now.Before(leaf.NotBefore):
		s.problem("tls-not-yet", "The certificate is valid only from "+leaf.NotBefore.UTC().Format(time.DateTime)+" UTC on.",
			"Compare the clocks of this machine and the one that made the certificate.")
	}
	intermediates := x509.NewCertPool()
	for _, c := range rest {
		intermediates.AddCert(c)
	}
	at := now
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter // that it is over was said already
	}
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: x.opts.Roots, Intermediates: intermediates, CurrentTime: at})
	if err == nil {
		return
	}
	s.evidence("chain: %v", err)
	switch {
	case string(leaf.RawIssuer) == string(leaf.RawSubject):
		s.problem("tls-self-signed", "The certificate is self-signed; nobody trusts it.",
			"Get one from an authority such as Let's Encrypt. For development, add it to the client's trusted certificates.")
	case len(rest) == 0:
		s.problem("tls-chain", fmt.Sprintf("The server sends its own certificate only, and %q, who issued it, is not known here.", leaf.Issuer.CommonName),
			"Send the intermediate certificates, too: most tools call the file fullchain.pem. A private authority must be added to the client's trusted certificates (here: --ca).").
			config("nginx: ssl_certificate /etc/…/fullchain.pem;")
	default:
		s.problem("tls-untrusted", fmt.Sprintf("The certificate was issued by %q, which is not trusted here.", leaf.Issuer.CommonName),
			"Get a certificate from a public authority, or add this one to the client's trusted certificates.")
	}
}

func hasProblem(s *Step) bool {
	for _, f := range s.Findings {
		if f.Verdict == Problem {
			return true
		}
	}
	return false
}

func names(c *x509.Certificate) string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		all = append(all, c.Subject.CommonName+" (as common name only)")
	}
	if len(all) > 4 {
		all = append(all[:4], "…")
	}
	return strings.Join(all, ", ")
}

// plainHTTPSent reports whether an answer says that plain HTTP came to a TLS port.
func plainHTTPSent(a *answer) bool {
	return a.status == http.StatusBadRequest &&
		(strings.Contains(a.body, "HTTP request to an HTTPS server") || strings.Contains(a.body, "plain HTTP request was sent to HTTPS port"))
}
