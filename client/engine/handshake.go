package engine

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// handshake is the server's first packet.
type handshake struct {
	ID         string
	Upgrades   []string
	Interval   time.Duration
	Timeout    time.Duration
	MaxPayload int
}

// maxPeriod bounds the server's periods, so that sums of them fit a Duration.
const maxPeriod = 365 * 24 * time.Hour

// isVersion3 reports whether a polling response is one of protocol 3: in front of
// the packet is its length, as text or, in a binary payload, as bytes.
func isVersion3(payload []byte) bool {
	const digits = "0123456789"
	rest := bytes.TrimLeft(payload, digits)
	if len(rest) < len(payload) && bytes.HasPrefix(rest, []byte(":0{")) {
		return true
	}
	rest = bytes.TrimLeft(payload, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09")
	return len(rest) < len(payload) && bytes.HasPrefix(rest, []byte("\xff0{"))
}

// parseHandshake reads the first packet that a server sends, type included.
func parseHandshake(packet []byte) (handshake, error) {
	if isVersion3(packet) {
		return handshake{}, fmt.Errorf("%w: the server speaks version 3, which is Socket.IO 2", ErrProtocol)
	}
	if len(packet) < 2 || packet[0] != '0' || packet[1] != '{' {
		return handshake{}, errNoHandshake
	}
	var said struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval float64  `json:"pingInterval"`
		PingTimeout  float64  `json:"pingTimeout"`
		MaxPayload   float64  `json:"maxPayload"`
	}
	if err := json.Unmarshal(packet[1:], &said); err != nil {
		return handshake{}, fmt.Errorf("%w: the handshake does not parse: %w", ErrProtocol, err)
	}
	h := handshake{
		ID:         said.SID,
		Upgrades:   said.Upgrades,
		Interval:   period(said.PingInterval),
		Timeout:    period(said.PingTimeout),
		MaxPayload: int(min(max(said.MaxPayload, 0), 1<<31-1)),
	}
	if h.ID == "" || h.Interval <= 0 || h.Timeout < 0 {
		return handshake{}, fmt.Errorf("%w: the handshake lacks sid, pingInterval or pingTimeout: %s", ErrProtocol, excerpt(packet[1:]))
	}
	return h, nil
}

func period(ms float64) time.Duration {
	if ms > float64(maxPeriod/time.Millisecond) {
		return maxPeriod
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// excerpt is the beginning of what a server said, for an error.
func excerpt(b []byte) string {
	const most = 200
	b = bytes.TrimSpace(b)
	if len(b) > most {
		b = append(b[:most:most], "…"...)
	}
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}
