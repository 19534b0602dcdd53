package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hopHeader is what a carried request has: the server that carries it, the time in seconds since 1970, and a signature
// of both with the method and the address of the request.
const hopHeader = "Sockeye-Hop"

// maxAge is how old a signature may be: as much as clocks may differ, and a request may take.
const maxAge = time.Minute

type signer struct{ key []byte }

// newSigner derives a key, so that the secret may serve for something else, too.
func newSigner(secret []byte) signer {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sockeye peers 1"))
	return signer{mac.Sum(nil)}
}

func (s signer) sign(id string, r *http.Request, now time.Time) string {
	claim := id + ";" + strconv.FormatInt(now.Unix(), 10)
	return claim + ";" + s.mac(claim, r)
}

func (s signer) mac(claim string, r *http.Request) string {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range []string{claim, r.Method, r.URL.Path, r.URL.RawQuery} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s signer) check(hop string, r *http.Request, now time.Time) bool {
	i := strings.LastIndexByte(hop, ';')
	if i < 0 {
		return false
	}
	claim, mac := hop[:i], hop[i+1:]
	_, at, _ := strings.Cut(claim, ";")
	seconds, err := strconv.ParseInt(at, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= maxAge && hmac.Equal([]byte(mac), []byte(s.mac(claim, r)))
}
