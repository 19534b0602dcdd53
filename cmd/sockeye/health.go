package main

import (
	"io"
	"net/http"
)

// health answers the questions of load balancers and supervisors: whether the process is alive, and whether new clients
// may be sent to it. Neither path is below that of the Socket.IO server, whose requests may be carried elsewhere.
func (d *demoServer) health() {
	d.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	d.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if d.io.Draining() {
			answer(w, http.StatusServiceUnavailable, "draining\n")
			return
		}
		answer(w, http.StatusOK, "ready\n")
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // who has asked and left does not matter
}
