package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// A claim is what a token says. The purpose keeps one kind from being taken for another.
type claim struct {
	Purpose string    `json:"purpose"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

var (
	errInvalid = errors.New("token is not valid")
	errExpired = errors.New("token has expired")
)

// A signer makes tokens that nobody else can make: base64 of a claim, a dot, base64 of its HMAC.
type signer struct{ key []byte }

func (s signer) sign(c claim) string {
	body, _ := json.Marshal(c) // strings and a time: can't fail
	return encoding.EncodeToString(body) + "." + encoding.EncodeToString(s.mac(body))
}

// check returns what the token says, if this signer made it for the purpose and its time is not over.
func (s signer) check(token, purpose string) (claim, error) {
	head, tail, _ := strings.Cut(token, ".")
	body, err := encoding.DecodeString(head)
	if err != nil {
		return claim{}, errInvalid
	}
	mac, err := encoding.DecodeString(tail)
	if err != nil || !hmac.Equal(mac, s.mac(body)) {
		return claim{}, errInvalid
	}
	var c claim
	if err := json.Unmarshal(body, &c); err != nil || c.Purpose != purpose {
		return claim{}, errInvalid
	}
	if time.Now().After(c.Expires) {
		return claim{}, errExpired
	}
	return c, nil
}

var encoding = base64.RawURLEncoding

func (s signer) mac(body []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(body)
	return h.Sum(nil)
}
