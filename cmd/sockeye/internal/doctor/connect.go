package doctor

import (
	"context"
	"strings"
)

// examineConnect judges what the CONNECT, sent over each transport that works, has led to.
func (x *exam) examineConnect(_ context.Context, s *Step) {
	if !x.polling.works && !x.websocket.works {
		s.skip("no transport works")
		return
	}
	var joined []string
	var refused string
	for _, j := range x.joins {
		if j.joined {
			joined = append(joined, j.over)
			s.evidence("%s: joined %s", j.over, x.namespace)
			continue
		}
		refused = j.refused
		s.evidence("%s: refused, %s", j.over, j.refused)
	}
	for _, e := range x.joinErrors {
		s.evidence("%s", e)
	}
	s.say("joined %s over %s", x.namespace, strings.Join(joined, " and "))
	lower := strings.ToLower(refused)
	switch {
	case refused != "" && (strings.Contains(lower, "invalid namespace") || lower == `"unable to connect"`):
		s.problem("namespace-unknown", "The server has no namespace "+x.namespace+".",
			"The path of a client's URL is the namespace: io(\"https://host/name\") joins /name. Create it at the server with io.of(\""+x.namespace+"\"), or leave the path out of the URL.")
	case refused != "":
		fix := "The application's middleware refuses: give what it wants by --auth '{\"token\":\"…\"}' or --header, as the client does by auth."
		if len(x.opts.Auth) > 0 {
			fix = "The application's middleware refuses this auth: is the token still valid, and for this server? Compare the clocks below."
		}
		s.problem("connect-refused", "The application refuses the CONNECT to "+x.namespace+": "+refused+".", fix)
	case len(joined) == 0:
		text, fix := "Nothing answers the CONNECT to "+x.namespace+".", "Is there Socket.IO on top of this Engine.IO server? A middleware that never calls next() looks like this, too."
		if len(x.joinErrors) > 0 && strings.Contains(x.joinErrors[len(x.joinErrors)-1], "closed") {
			text = "The server closes the connection at the CONNECT to " + x.namespace + "."
			fix = "It does not understand the packet: if it has a parser of its own, such as socket.io-msgpack-parser, clients need the same. Its log says more."
			s.problem("connect-closed", text, fix)
			return
		}
		s.problem("connect-silent", text, fix)
	}
}
