// Package event is what a program's messages are made of: events with typed contents, events that are answered, and
// the errors they are answered with. It knows neither server nor client, so that both can share one declaration:
//
//	var Say = event.New[SayRequest]("say")
//	var Add = event.NewCall[AddRequest, AddReply]("add")
//
// An [Event] is sent with Emit and received with On. A [Call] is an event that is acknowledged: Call sends it and waits
// for the reply of the function that On registered on the other side, or for its error.
//
// How Go values are written as JSON, and that a []byte in them travels as binary, is described in package
// socketio/packet.
package event
