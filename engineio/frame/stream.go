package frame

import "bytes"

// AppendRecord appends p to dst as a record of the streaming transport: its text
// form, ended by Separator.
func AppendRecord(dst []byte, p Packet) []byte {
	return append(AppendPacket(dst, p), Separator)
}

// Records splits a stream of bytes into records. The zero value is ready to use.
type Records struct {
	partial []byte
}

// Feed takes the next chunk of the stream and calls yield with every record that is
// complete, without its Separator; [DecodePacket] decodes it. The record is valid
// only until yield returns.
//
// A record longer than limit bytes is ErrTooLong, found as soon as that many bytes
// have arrived; a limit of 0 means none. An error of yield stops Feed and is
// returned. After any error the stream is beyond use.
func (r *Records) Feed(chunk []byte, limit int, yield func([]byte) error) error {
	for {
		record, rest, complete := bytes.Cut(chunk, separator)
		if limit > 0 && len(r.partial)+len(record) > limit {
			return ErrTooLong
		}
		if !complete {
			r.partial = append(r.partial, record...)
			return nil
		}
		if len(r.partial) > 0 {
			r.partial = append(r.partial, record...)
			record = r.partial
		}
		if err := yield(record); err != nil {
			return err
		}
		r.partial = r.partial[:0]
		chunk = rest
	}
}
