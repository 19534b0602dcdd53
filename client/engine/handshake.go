package engine

import (
	"bytes"
	"fmt"
	"regexp"
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

// version3 is how a server of protocol 3 begins a polling response: the length of
// the packet, in characters, or as bytes in a binary payload.
var version3 = regexp.MustCompile(`^(\d+:|\x00[\x00-\x09]{1,9}\xff)0\{`)

// parseHandshake reads the first packet that a server sends, type included.
func parseHandshake(packet []byte) (handshake, error) {
	if version3.Match(packet) {
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
