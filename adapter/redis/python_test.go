package redis_test

import (
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/redis"
)

func TestPythonConformance(t *testing.T) {
	s := startRedis(t)
	n := 0
	adaptertest.Run(t, func(t *testing.T, servers int) []adapter.Factory {
		n++
		o := redis.PythonOptions{Channel: fmt.Sprint("cluster", n), Version: redis.PythonVersion(n % 3)}
		factories := make([]adapter.Factory, servers)
		for i := range factories {
			factories[i] = s.open(t, redis.Options{}).Python(o)
		}
		return factories
	})
}
