package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/daemon"
)

// authority issues certificates that the command trusts when SSL_CERT_FILE names its own.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test Authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	a.key = a.write(t, "ca", template, nil)
	return a
}

// write issues a certificate and writes it and its key to files.
func (a *authority) write(t *testing.T, name string, template *x509.Certificate, parent *x509.Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if template.IsCA {
		a.cert = cert
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	io := server(t, socketio.Options{})
	here := []net.IP{net.IPv4(127, 0, 0, 1)}
	year := time.Now().Add(24 * 365 * time.Hour)
	trusting := []string{"SSL_CERT_FILE=" + ca.file("ca.crt"), "SSL_CERT_DIR=" + t.TempDir()}
	start := func(name string, template *x509.Certificate) string {
		template.Subject = pkix.Name{CommonName: name}
		ca.write(t, name, template, ca.cert)
		return "https://" + daemon.NginxTLS(t, io.Addr, daemon.NginxUpgrade, ca.file(name+".crt"), ca.file(name+".key"))
	}
	bad := func(code string) findings { return findings{"dns": "skipped", "tls": "problem " + code} }

	good := start("good", &x509.Certificate{IPAddresses: here, NotBefore: time.Now().Add(-time.Hour), NotAfter: year})
	r := examineWith(t, trusting, good)
	r.expect(t, findings{"dns": "skipped"})
	r.first(t, "")

	examine(t, good, "--ca", ca.file("ca.crt")).expect(t, findings{"dns": "skipped"})

	r = examineWith(t, nil, good)
	r.expect(t, bad("tls-chain"))
	r.first(t, "tls tls-chain")
	r.advises(t, "tls-chain", "fullchain.pem")

	r = examineWith(t, trusting, start("name", &x509.Certificate{DNSNames: []string{"www.example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: year}))
	r.expect(t, bad("tls-name"))
	r.first(t, "tls tls-name")

	expired := start("expired", &x509.Certificate{IPAddresses: here, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	r = examineWith(t, trusting, expired)
	r.expect(t, bad("tls-expired"))
	r.first(t, "tls tls-expired")

	r = examineWith(t, trusting, start("soon", &x509.Certificate{IPAddresses: here, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(50 * time.Hour)}))
	r.expect(t, findings{"dns": "skipped", "tls": "warning tls-expires-soon"})

	// Credentials are not sent to a server that can't prove who it is, unless that is wanted.
	r = examineWith(t, trusting, expired, "-H", "Authorization: Bearer sesame-open")
	want := bad("tls-expired")
	for _, step := range []string{"path", "protocol", "polling", "websocket", "connect", "streaming", "sticky", "cookies", "cors", "payload", "idle", "clock", "latency"} {
		want[step] = "skipped"
	}
	r.expect(t, want)
	r = examineWith(t, trusting, expired, "-H", "Authorization: Bearer sesame-open", "--insecure")
	r.expect(t, bad("tls-expired"))

	r = examine(t, "https://"+io.Addr)
	want["tls"] = "problem tls-plain-http"
	r.expect(t, want)
	r.advises(t, "tls-plain-http", "http://")
}
