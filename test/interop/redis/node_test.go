package redis_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// An operation is what a Node server is asked to do, see node.mjs.
type operation struct {
	Op       string   `json:"op"`
	NSP      string   `json:"nsp,omitempty"`
	Rooms    []string `json:"rooms,omitempty"`
	Except   []string `json:"except,omitempty"`
	Volatile bool     `json:"volatile,omitempty"`
	Timeout  int      `json:"timeout,omitempty"` // in milliseconds
	Close    bool     `json:"close,omitempty"`
	Event    string   `json:"event,omitempty"`
	Args     []any    `json:"args,omitempty"`
}

// A node is a Node server of the cluster.
type node struct {
	*kit.Program
	t testing.TB
}

func startNode(t testing.TB, options map[string]any) *node {
	t.Helper()
	p := kit.NewNodeServer(t, "redis/node.mjs", options)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &node{p, t}
}

// do has an operation performed. What it returns is decoded into dst, unless that is nil.
func (n *node) do(o operation, dst any) {
	n.t.Helper()
	if err := n.try(o, dst); err != nil {
		n.t.Errorf("%s on Node: %v", o.Op, err)
	}
}

func (n *node) try(o operation, dst any) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	res, err := http.Post("http://"+n.Addr()+"/do", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var reply struct {
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		return err
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	if dst == nil {
		return nil
	}
	return json.Unmarshal(reply.Value, dst)
}
