package nats_test

import (
	"fmt"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

func TestConformance(t *testing.T) {
	s := startNATS(t, -1)
	adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
		prefix := fmt.Sprintf("test.%d", prefixes.Add(1))
		var brokers []*nats.Broker
		for range n {
			brokers = append(brokers, openWith(t, nats.Options{URL: s.ClientURL(), Prefix: prefix}))
		}
		return factories(brokers)
	})
}
