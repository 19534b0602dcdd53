// Package frame is the wire form of Engine.IO packets: pure functions from
// packets to bytes and back, without connections, clocks or locks.
//
// A [Packet] travels in one of these forms:
//
//   - text ([AppendPacket], [DecodePacket]): the digit of the type followed by
//     the data, or "b" followed by base64 for a binary message. WebSocket text
//     frames carry exactly this; a binary WebSocket frame carries the data alone.
//   - payload ([AppendPayload], [DecodePayload]): the body of a long-polling
//     request or response, packets in text form joined by [Separator].
//   - record ([AppendRecord], [Records]): the streaming transport, each packet in
//     text form ended by [Separator].
//   - event ([AppendSSE], [AppendSSEText], [Events]): the streaming transport as Server-Sent Events.
//   - WebTransport ([AppendWebTransport], [DecodeWebTransport]): length-prefixed
//     binary frames on one bidirectional stream.
//
// The encoders append to a slice given by the caller and allocate only when it
// has to grow. They trust their input: a Type above [Noop] is the caller's bug.
// In the payload and record forms nothing escapes a [Separator] inside the data of
// a text packet: the protocol has no way to. Socket.IO never produces one (JSON
// writes it as an escape), and anybody else has to send such data as binary.
//
// The decoders trust nothing. They run in time linear in their input, hold no
// more than the limit they are given, and never panic. They do not check that
// text is valid UTF-8.
//
// The functions may be called concurrently. Values of [Records] and [Events]
// hold an unfinished packet and belong to one goroutine at a time.
package frame
