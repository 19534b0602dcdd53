//go:build linux

package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A process is a program of ours or a broker. It is killed when what started it ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	first *bufio.Reader // standard output
	ended chan struct{}
	err   error // after ended
}

// start starts a program.
func start(cmd *exec.Cmd) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = out
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	err = cmd.Start()
	_ = out.Close()
	if err != nil {
		_ = stdout.Close()
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, first: bufio.NewReader(stdout), ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = stdout.Close()
		close(p.ended)
	}()
	return p, nil
}

// line waits for a line of the program's output.
func (p *process) line() (string, error) {
	text, err := p.first.ReadString('\n')
	if err != nil {
		p.kill()
		return "", fmt.Errorf("%s ended before it was ready: %w", p.cmd.Path, errors.Join(err, p.err))
	}
	return strings.TrimSpace(text), nil
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// end asks the process to end, and waits until it has.
func (p *process) end(sig syscall.Signal) error {
	_ = p.cmd.Process.Signal(sig)
	<-p.ended
	return p.err
}
