package packet_test

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A []byte leaves the JSON, wherever it is, and follows as a frame of its own.
func ExampleAppendEvent() {
	type Upload struct {
		Name    string `json:"name"`
		Content []byte `json:"content"`
	}
	h := packet.Header{Namespace: "/files", ID: 7, HasID: true}
	text, attachments, err := packet.AppendEvent(nil, h, "upload", []any{Upload{"pixel.gif", []byte("GIF")}})
	fmt.Printf("%s\n%q %v\n", text, attachments, err)
	// Output:
	// 51-/files,7["upload",{"name":"pixel.gif","content":{"_placeholder":true,"num":0}}]
	// ["GIF"] <nil>
}

func ExampleDecoder() {
	var d packet.Decoder
	_, complete, err := d.Text([]byte(`51-["upload",{"_placeholder":true,"num":0}]`))
	fmt.Println(complete, err)
	p, complete, err := d.Binary([]byte("GIF"))
	fmt.Println(complete, err)

	args, err := packet.SplitArgs(p.Data, []jsontext.Value{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var content []byte
	err = packet.Unmarshal(args[1], p.Attachments, &content) // args[0] is the name
	fmt.Printf("%v %s %s %v\n", p.Type, p.Event, content, err)
	// Output:
	// false <nil>
	// true <nil>
	// event upload GIF <nil>
}
