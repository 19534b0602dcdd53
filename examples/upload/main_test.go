package main

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/examples/internal/try"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func TestUpload(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	content := make([]byte, chunkSize*2+1234)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	want := sha256.Sum256(content)

	for name, c := range map[string]*try.Client{
		"websocket": p.WebSocket(t, nil).Joined(),
		"polling":   p.Polling(t, nil).Joined(),
	} {
		var how plan
		if failed := c.Ask(&how, "begin", file{int64(len(content))}); failed != nil {
			t.Fatal(name, failed)
		}
		for sent := 0; sent < len(content); {
			n := min(how.ChunkSize, len(content)-sent)
			var at progress
			if failed := c.Ask(&at, "chunk", content[sent:sent+n]); failed != nil {
				t.Fatal(name, failed)
			}
			if sent += n; at.Received != int64(sent) {
				t.Errorf("%s: %d bytes received of %d", name, at.Received, sent)
			}
		}
		var got receipt
		if failed := c.Ask(&got, "finish"); failed != nil {
			t.Fatal(name, failed)
		}
		if got.Size != int64(len(content)) || got.SHA256 != hex.EncodeToString(want[:]) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestUploadBounds(t *testing.T) {
	p := try.Start(t)
	c := p.WebSocket(t, nil).Joined()
	expect := func(code string, failed *try.Failure) {
		t.Helper()
		if failed == nil || failed.Code != code {
			t.Errorf("%+v instead of %s", failed, code)
		}
	}
	expect("no_upload", c.Ask(nil, "chunk", []byte("x")))
	expect("no_upload", c.Ask(nil, "finish"))
	expect("too_large", c.Ask(nil, "begin", file{maxSize + 1}))
	expect("too_large", c.Ask(nil, "begin", file{-1}))
	if failed := c.Ask(nil, "begin", file{3}); failed != nil {
		t.Fatal(failed)
	}
	expect("bad_request", c.Ask(nil, "chunk", map[string]int{"a": 1}))
	expect("too_much", c.Ask(nil, "chunk", []byte("four")))
	expect("no_upload", c.Ask(nil, "chunk", []byte("abc"))) // it was given up
	c.Ask(nil, "begin", file{3})
	expect("incomplete", c.Ask(nil, "finish"))

	// Announcing is enough to take room, and there is only so much of it.
	for i := range maxTotal/maxSize + 1 {
		other := p.WebSocket(t, nil).Joined()
		if failed := other.Ask(nil, "begin", file{maxSize}); failed != nil {
			if expect("full", failed); i != maxTotal/(maxSize+overhead) {
				t.Errorf("full after %d files", i)
			}
			return
		}
	}
	t.Error("the store is never full")
}

func TestStoreForgets(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &store{dir: dir, keep: time.Minute}
		aborted, err := s.begin(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := aborted.abort(); err != nil {
			t.Error(err)
		}
		finished, err := s.begin(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := finished.finish(); err != nil {
			t.Error(err)
		}
		used := func() int64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.used
		}
		if files(t, dir) != 1 || used() != overhead {
			t.Errorf("%d files, %d bytes in use", files(t, dir), used())
		}
		time.Sleep(s.keep)
		synctest.Wait()
		if files(t, dir) != 0 || used() != 0 {
			t.Errorf("after their time %d files, %d bytes in use", files(t, dir), used())
		}
	})
}

func files(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
