package packet

// A Decoder puts the packets of one connection together. The zero value is ready for use and has the default limits.
// It is small, keeps nothing between complete packets, and is not safe for concurrent use.
type Decoder struct {
	// Limits may be shared by many decoders; nil means the defaults.
	Limits *Limits
	// Format is how packets are written on this connection; the zero value is JSON.
	Format Format

	pending *Packet
}

// Text takes a text frame. It returns the packet and true, or false if attachments must follow. The packet doesn't
// refer to data. After an error the decoder must not be fed again, except after Reset.
func (d *Decoder) Text(data []byte) (p Packet, complete bool, err error) {
	return Packet{}, false, ErrPayload
}

// Binary takes a binary frame, an attachment of the packet that the last call of Text began, or with the Msgpack
// format a whole packet. It returns the packet and true when nothing more must follow. The packet doesn't refer to data.
func (d *Decoder) Binary(data []byte) (p Packet, complete bool, err error) {
	return Packet{}, false, ErrPayload
}

// Pending reports whether attachments are due. How long to wait for them is the caller's affair.
func (d *Decoder) Pending() bool { return d.pending != nil }

// Reset drops a packet that was received in part.
func (d *Decoder) Reset() { d.pending = nil }
