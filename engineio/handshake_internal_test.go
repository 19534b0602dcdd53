package engineio

import "testing"

func TestRemoteIP(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1",
		"[fe80::1%eth0]:1": "fe80::1%eth0", "@": "invalid IP", "": "invalid IP", "192.0.2.1": "invalid IP",
	} {
		h := Handshake{remoteAddr: addr}
		if ip := h.RemoteIP(); ip.String() != want || ip.IsValid() != (want != "invalid IP") {
			t.Errorf("%q: %v, want %s", addr, ip, want)
		}
	}
}
