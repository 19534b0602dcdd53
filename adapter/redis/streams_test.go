package redis_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

// TestStreamsStart has a server learn late where in the stream it begins: until then it is not counted, and from then
// on it misses nothing.
func TestStreamsStart(t *testing.T) {
	s := startRedis(t)
	ctx := context.Background()
	c := s.client()
	defer c.Close()
	list := s.members(t, 1, redis.Options{}, (*redis.Broker).Streams)
	do := func(args ...any) {
		t.Helper()
		if err := c.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("acl", "setuser", "default", "-xrevrange")
	b := &member{host: newHost(), b: s.open(t, redis.Options{})}
	b.Adapter = (*redis.Broker).Streams(b.b)(b.host)
	t.Cleanup(func() { _ = b.Adapter.Close() })
	eventually(t, "it has been refused more than once", func() bool {
		log, err := c.ACLLog(ctx, 1).Result()
		return err == nil && len(log) > 0 && log[0].Count > 2
	})
	if n, err := list[0].Servers(ctx); err != nil || n != 1 {
		t.Errorf("%d servers, %v, while one does not read the stream yet", n, err)
	}
	do("acl", "setuser", "default", "+xrevrange")
	eventually(t, "the number of servers", func() bool {
		n, err := list[0].Servers(ctx)
		return err == nil && n == 2
	})
	if err := list[0].Broadcast(event("first"), adapter.Target{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first event", func() bool { return slices.Contains(b.host.events(), `["first"]`) })
}

func TestStreamsRecovery(t *testing.T) {
	s := startRedis(t)
	n := 0
	adaptertest.RunRecovery(t, func(t *testing.T, servers int) []adapter.Factory {
		n++
		factories := make([]adapter.Factory, servers)
		for i := range factories {
			factories[i] = s.open(t, redis.Options{Prefix: "recovery" + strconv.Itoa(n), AppendTimeout: patience}).Streams()
		}
		return factories
	})
}
