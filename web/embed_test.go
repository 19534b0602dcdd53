package web

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestFileKnowsWhatNamesSays(t *testing.T) {
	for _, name := range Names() {
		content, ok := File(name)
		if !ok || len(content) == 0 {
			t.Errorf("File(%q) = %d bytes, %v", name, len(content), ok)
		}
		if bytes.HasSuffix([]byte(name), []byte(".map")) && !json.Valid(content) {
			t.Errorf("%s is no JSON", name)
		}
	}
}

func TestFileKnowsNothingElse(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "dist", "socket.io", "SOCKET.IO.JS", "/socket.io.js", "./socket.io.js", "dist/socket.io.js",
		"../embed.go", "../dist/socket.io.js", "socket.io.js/", "socket.io.js\x00", "socket.io.msgpack.min.js",
	} {
		if content, ok := File(name); ok || content != nil {
			t.Errorf("File(%q) = %d bytes, %v", name, len(content), ok)
		}
	}
}

func TestFileGivesCopies(t *testing.T) {
	first, _ := File("socket.io.js")
	first[0] ^= 0xff
	second, _ := File("socket.io.js")
	if first[0] == second[0] {
		t.Error("a caller can change what the next one gets")
	}
}
