// Package embedded makes a cluster of Socket.IO servers that needs no broker: each server carries a NATS server, and these
// find each other.
//
//	node, err := embedded.Start(embedded.Options{
//		Listen: ":6222",
//		Peers:  []string{"10.0.0.1:6222", "10.0.0.2:6222"},
//		Secret: secret,
//	})
//	…
//	broker, err := node.Open(nats.Options{})
//	…
//	io := socketio.NewServer(&socketio.Options{Adapter: broker.Adapter()})
//
// Options.Peers is a list of some of the servers, or a DNS name that has the addresses of all, such as that of a headless
// service of Kubernetes; every server may have the same list, with itself in it. One that answers is enough: from it a
// server learns of the others, and each connects to each. A server that is lost is tried again every second if it is in
// the list, and connects by itself if it has others in its own. Names are looked up again every few seconds.
//
// # Security
//
// The connections between the servers are encrypted, and opened only to who has the secret: a key pair is derived from
// it, and both ends of a connection must prove that they have the private key. Clients of NATS are not let in.
package embedded
