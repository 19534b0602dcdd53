package connect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxScriptLine is how long a line of a script may be.
const maxScriptLine = 64 << 20

// Script reads lines that nobody edits.
type Script struct{ s *bufio.Scanner }

// NewScript returns the lines of r.
func NewScript(r io.Reader) *Script {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxScriptLine)
	return &Script{s}
}

// ReadLine returns the next line.
func (s *Script) ReadLine() (string, error) {
	if s.s.Scan() {
		return s.s.Text(), nil
	}
	err := s.s.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return "", fmt.Errorf("a line has more than %d bytes", maxScriptLine)
	}
	if err == nil {
		err = io.EOF
	}
	return "", err
}
