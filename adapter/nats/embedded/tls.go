package embedded

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

var errStranger = errors.New("embedded: the other end does not have the secret of this cluster")

// tlsConfig returns what both ends of a connection between servers use. Both have the key that is derived from the
// secret, and both insist that the other has it. Names and dates of certificates mean nothing.
func tlsConfig(secret []byte, cluster string) (*tls.Config, error) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sockeye embedded nats 1\x00" + cluster))
	key := ed25519.NewKeyFromSeed(mac.Sum(nil))
	public := key.Public().(ed25519.PublicKey)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "sockeye"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13, // the certificates are not sent in clear, and the key is proven by both
		Certificates:           []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // VerifyConnection does it
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errStranger
			}
			other, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || !other.Equal(public) {
				return errStranger
			}
			return nil
		},
	}, nil
}
