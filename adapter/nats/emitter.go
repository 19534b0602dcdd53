package nats

import (
	"strings"

	"github.com/sockeye-io/sockeye/adapter/emitter"
)

// Emitter returns an emitter to the servers of a namespace that use [Broker.Adapter], for programs that are no servers
// themselves. The slash that namespaces begin with may be left out. That an operation returned nil means that it waits to
// be published: Close the broker before the program ends. What could not be sent is counted in [Stats].
func (b *Broker) Emitter(namespace string) emitter.Emitter {
	if !strings.HasPrefix(namespace, "/") {
		namespace = "/" + namespace
	}
	x := &bus{inbox: newInbox(b, nil), name: namespace, token: token(namespace[1:])} // which never receives
	x.base = b.opts.Prefix + "." + x.token
	return emitter.New(emitter.Messages(namespace, x.Publish))
}
