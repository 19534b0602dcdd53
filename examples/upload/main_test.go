package main

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

// inMemory runs a test with a fake clock. The files are real.
func inMemory(t *testing.T, test func(t *testing.T, srv *sockeyetest.Server, files *store)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		files := &store{dir: dir, keep: time.Minute}
		test(t, sockeyetest.Start(t, newServer(files)), files)
	})
}

func TestUpload(t *testing.T) {
	content := make([]byte, chunkSize*2+1234)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	sum := sha256.Sum256(content)
	want := receipt{int64(len(content)), hex.EncodeToString(sum[:])}

	for _, transport := range []string{"websocket", "polling", "streaming"} {
		inMemory(t, func(t *testing.T, srv *sockeyetest.Server, files *store) {
			c := srv.Connect(t, "/", sockeyetest.Transports(transport), sockeyetest.Named(transport))
			how := sockeyetest.Call(t, c, begin, file{int64(len(content))})
			sent := 0
			for part := range slices.Chunk(content, how.ChunkSize) {
				sent += len(part)
				if at := sockeyetest.Call(t, c, chunk, part); at.Received != int64(sent) {
					t.Errorf("%d bytes received of %d", at.Received, sent)
				}
			}
			if got := sockeyetest.Call(t, c, finish, struct{}{}); got != want {
				t.Errorf("%+v instead of %+v", got, want)
			}
		})
	}
}

func TestUploadBounds(t *testing.T) {
	inMemory(t, func(t *testing.T, srv *sockeyetest.Server, files *store) {
		c := srv.Connect(t, "/")
		sockeyetest.CallError(t, c, "no_upload", chunk, []byte("x"))
		sockeyetest.CallError(t, c, "no_upload", finish, struct{}{})
		sockeyetest.CallError(t, c, "too_large", begin, file{maxSize + 1})
		sockeyetest.CallError(t, c, "too_large", begin, file{-1})
		sockeyetest.Call(t, c, begin, file{3})
		c.CallError(t, "bad_request", "chunk", map[string]int{"a": 1})
		sockeyetest.CallError(t, c, "too_much", chunk, []byte("four"))
		sockeyetest.CallError(t, c, "no_upload", chunk, []byte("abc")) // it was given up
		sockeyetest.Call(t, c, begin, file{3})
		sockeyetest.CallError(t, c, "incomplete", finish, struct{}{})

		// Announcing is enough to take room, and there is only so much of it.
		for range maxTotal / (maxSize + overhead) {
			sockeyetest.Call(t, srv.Connect(t, "/"), begin, file{maxSize})
		}
		sockeyetest.CallError(t, c, "full", begin, file{maxSize})
	})
}

// Who stops in the middle is disconnected, and what he sent is thrown away.
func TestUploadStalls(t *testing.T) {
	inMemory(t, func(t *testing.T, srv *sockeyetest.Server, store *store) {
		c := srv.Connect(t, "/")
		sockeyetest.Call(t, c, begin, file{3})
		time.Sleep(stalled - 1)
		sockeyetest.Call(t, c, chunk, []byte("ab")) // just in time
		time.Sleep(stalled - 1)
		synctest.Wait()
		if !c.Connected() || files(t, store.dir) != 1 {
			t.Error("it was given up too early")
		}
		c.ExpectDisconnect(t, client.ReasonServerDisconnect)
		synctest.Wait()
		if n := files(t, store.dir); n != 0 {
			t.Errorf("%d files are left", n)
		}
	})
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Connects(t, nil)
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
