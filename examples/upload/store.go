package main

import (
	"crypto/sha256"
	"errors"
	"hash"
	"os"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

const (
	maxSize  = 64 << 20  // bytes of one file
	maxTotal = 512 << 20 // bytes of all files, those that are on their way included
	overhead = 64 << 10  // what each counts in addition, so that many small ones don't become too many
)

// A store keeps files in a folder, under names of its own: what a visitor calls his file never becomes a path.
type store struct {
	dir  string
	keep time.Duration // how long finished files stay

	mu   sync.Mutex
	used int64
}

// begin makes room for a file of the size, before any of it is there.
func (s *store) begin(size int64) (*upload, error) {
	if size < 0 || size > maxSize {
		return nil, event.Errorf("too_large", "a file may have %d MB", maxSize>>20)
	}
	if !s.reserve(size + overhead) {
		return nil, event.Errorf("full", "there is no room left, try later")
	}
	f, err := os.CreateTemp(s.dir, "upload-*")
	if err != nil {
		s.release(size + overhead)
		return nil, err
	}
	return &upload{store: s, file: f, hash: sha256.New(), size: size}, nil
}

func (s *store) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > maxTotal {
		return false
	}
	s.used += n
	return true
}

func (s *store) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}

// An upload is a file on its way. Only the handlers of one socket use it, and they run one at a time.
type upload struct {
	store          *store
	file           *os.File
	hash           hash.Hash
	size, received int64
}

func (u *upload) write(chunk []byte) error {
	if u.received+int64(len(chunk)) > u.size {
		return event.Errorf("too_much", "more arrives than was announced")
	}
	if _, err := u.file.Write(chunk); err != nil {
		return err
	}
	u.hash.Write(chunk)
	u.received += int64(len(chunk))
	return nil
}

// finish closes the file, which stays for a while, and returns its hash.
func (u *upload) finish() ([]byte, error) {
	if u.received != u.size {
		return nil, event.Errorf("incomplete", "%d of %d bytes have arrived", u.received, u.size)
	}
	if err := u.file.Close(); err != nil {
		return nil, err
	}
	time.AfterFunc(u.store.keep, u.remove)
	return u.hash.Sum(nil), nil
}

// abort forgets a file that was not finished.
func (u *upload) abort() error {
	err := u.file.Close()
	u.remove()
	return err
}

func (u *upload) remove() {
	if err := os.Remove(u.file.Name()); err == nil || errors.Is(err, os.ErrNotExist) {
		u.store.release(u.size + overhead)
	}
}
