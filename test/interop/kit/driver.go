package kit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Line is what a driver prints, one JSON object a line. Exactly one group of fields is set: the name and outcome of a
// case, or something it asks the test to do, answered by one line on its standard input.
type Line struct {
	Case  string `json:"case"`
	Error string `json:"error"`
	Skip  string `json:"skip"`

	Do   string          `json:"do"`
	Args json.RawMessage `json:"args"`
}

// Driver is a foreign program that runs cases against a server and reports each of them.
type Driver struct {
	Command []string
	Dir     string
	Env     []string // added to the environment of the test
	Config  any      // passed as JSON in DRIVER_CONFIG
	// Do carries out what the driver asks for between two steps of a case, such as a restart of the server. The
	// returned value is the answer.
	Do func(what string, args json.RawMessage) (any, error)
	// Limit bounds the whole run; 0 means five minutes.
	Limit time.Duration
}

// Run runs the driver and turns each case into a subtest. A driver that reports no case, or exits before it said it
// was done, is a failure.
func (d *Driver) Run(t *testing.T) {
	t.Helper()
	limit := d.Limit
	if limit == 0 {
		limit = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	config, err := json.Marshal(d.Config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, d.Command[0], d.Command[1:]...)
	cmd.Dir = d.Dir
	cmd.Env = append(append(os.Environ(), d.Env...), "DRIVER_CONFIG="+string(config))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if os.Getenv("DEBUG") != "" {
		cmd.Stderr = os.Stderr // what Node's clients and servers have to say, live
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cases := d.follow(t, stdout, stdin)
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("driver %s: %v\n%s", strings.Join(d.Command, " "), err, lastLines(stderr.Bytes(), 30))
	}
	if cases == 0 {
		t.Errorf("driver %s reported no case\n%s", strings.Join(d.Command, " "), lastLines(stderr.Bytes(), 30))
	}
}

func (d *Driver) follow(t *testing.T, stdout io.Reader, stdin io.Writer) (cases int) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Logf("driver: %s", lines.Text())
			continue
		}
		switch {
		case l.Do != "":
			d.answer(t, l, stdin)
		case l.Case != "":
			cases++
			t.Run(l.Case, func(t *testing.T) {
				if l.Skip != "" {
					Skip(t, "%s", l.Skip)
				}
				if l.Error != "" {
					t.Error(l.Error)
				}
			})
		}
	}
	return cases
}

func (d *Driver) answer(t *testing.T, l Line, stdin io.Writer) {
	var reply struct {
		Value any    `json:"value,omitempty"`
		Error string `json:"error,omitempty"`
	}
	if d.Do == nil {
		reply.Error = "this test does nothing for its driver"
	} else if v, err := d.Do(l.Do, l.Args); err != nil {
		reply.Error = err.Error()
	} else {
		reply.Value = v
	}
	data, err := json.Marshal(reply)
	if err != nil {
		t.Errorf("answer to %s: %v", l.Do, err)
		return
	}
	if _, err := fmt.Fprintf(stdin, "%s\n", data); err != nil {
		t.Errorf("answer to %s: %v", l.Do, err)
	}
}

func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
