package frame_test

import (
	"fmt"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

func ExampleAppendPayload() {
	payload := frame.AppendPayload(nil, []frame.Packet{
		{Type: frame.Message, Data: []byte("hello")},
		{Type: frame.Message, Binary: true, Data: []byte{1, 2, 3, 4}},
		{Type: frame.Ping},
	})
	fmt.Printf("%q\n", payload)
	// Output: "4hello\x1ebAQIDBA==\x1e2"
}

func ExampleDecodePayload() {
	body := []byte("4hello\x1ebAQIDBA==\x1e3")
	err := frame.DecodePayload(body, 16, func(p frame.Packet) error {
		fmt.Printf("%v %q\n", p.Type, p.Data)
		return nil
	})
	fmt.Println(err)
	// Output:
	// message "hello"
	// message "\x01\x02\x03\x04"
	// pong ""
	// <nil>
}

func ExampleRecords() {
	var records frame.Records
	for _, chunk := range []string{"4hel", "lo\x1e4wor", "ld\x1e"} {
		err := records.Feed([]byte(chunk), 1_000_000, func(record []byte) error {
			p, err := frame.DecodePacket(record)
			if err != nil {
				return err
			}
			fmt.Printf("%v %s\n", p.Type, p.Data)
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// message hello
	// message world
}

func ExampleAppendSSE() {
	event := frame.AppendSSE(nil, frame.Packet{Type: frame.Message, Data: []byte("two\nlines")})
	fmt.Printf("%s", event)
	// Output:
	// data: 4two
	// data: lines
}
