//go:build !unix

package engine

func (w *webSocket) readRaw() error { return w.readPlain() }
