package clusterdemo

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A process is a program that ends no later than we do.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	out  *lines
}

// startProcess starts a program; what it writes goes to say, line by line.
func startProcess(cmd *exec.Cmd, say func(string)) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{}), out: &lines{say: say}}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	// Its grandchildren may hold what it writes to open; they are not waited for.
	cmd.WaitDelay = 2 * time.Second
	if err := startBound(cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		p.out.flush()
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop kills it, if it is still there.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ended says how the process ended, with the last that it wrote.
func (p *process) ended() error {
	<-p.done
	text := p.cmd.ProcessState.String()
	if last := p.out.tail(); last != "" {
		text += ": " + last
	}
	return errors.New(text)
}

// lines is a writer that passes on what is written, line by line, and keeps the last ones.
type lines struct {
	say func(string)

	mu   sync.Mutex
	part []byte
	last []string
}

// maxLine bounds a line, and keptLines how many are remembered.
const (
	maxLine   = 2000
	keptLines = 8
)

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			break
		}
		l.part = rest
		l.add(string(line))
	}
	if len(l.part) > maxLine {
		l.add(string(l.part))
		l.part = nil
	}
	return len(b), nil
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.add(string(l.part))
		l.part = nil
	}
}

func (l *lines) add(line string) {
	line = strings.TrimSpace(line)
	if line == "" {
		return
	}
	l.last = append(l.last, line)
	l.last = l.last[max(0, len(l.last)-keptLines):]
	if l.say != nil {
		l.say(line)
	}
}

func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}
