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

func jetStreams(t *testing.T, url string, n int) []adapter.Factory {
	t.Helper()
	prefix := fmt.Sprintf("test.%d", prefixes.Add(1))
	var fs []adapter.Factory
	for range n {
		f, err := openWith(t, nats.Options{URL: url, Prefix: prefix}).JetStream(nats.JetStreamOptions{Memory: true, Wait: patience})
		if err != nil {
			t.Fatal(err)
		}
		fs = append(fs, f)
	}
	return fs
}

func TestJetStreamConformance(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	cluster := func(t *testing.T, n int) []adapter.Factory { return jetStreams(t, s.ClientURL(), n) }
	t.Run("WithoutRecovery", func(t *testing.T) { adaptertest.Run(t, cluster) })
	t.Run("Recovery", func(t *testing.T) { adaptertest.RunRecovery(t, cluster) })
}
