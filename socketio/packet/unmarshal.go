package packet

import "github.com/go-json-experiment/json/jsontext"

// SplitArgs appends the elements of the JSON array data to dst. They are slices of data. It allocates only to grow
// dst. Data must be a valid array, as [Packet.Data] is.
func SplitArgs(data jsontext.Value, dst []jsontext.Value) ([]jsontext.Value, error) {
	return dst, ErrPayload
}

// Unmarshal decodes v into dst, which must be a pointer. A placeholder in v becomes the []byte it stands for wherever
// it is: in a field, a map, a slice, an any. Those bytes are shared with attachments: copy them before changing them.
// A string decoded into a []byte is taken as base64, as in encoding/json.
func Unmarshal(v jsontext.Value, attachments [][]byte, dst any) error {
	return ErrPayload
}
