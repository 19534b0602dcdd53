package packet

// A Format is how packets are written. Everything in this package works on the JSON form, with attachments; a
// connection of the other format is translated where its frames come in, by the [Decoder], and where they go out, by
// [AppendMsgpack].
type Format uint8

const (
	// JSON is the default format, that of socket.io-parser.
	JSON Format = iota
	// Msgpack is the format of socket.io-msgpack-parser 3: one binary frame for a packet, attachments included.
	Msgpack
)

// String returns "json" or "msgpack".
func (f Format) String() string {
	if f == Msgpack {
		return "msgpack"
	}
	return "json"
}
