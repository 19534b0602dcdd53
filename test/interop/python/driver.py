"""Cases that Debian's python3-socketio client runs against the application (see package app): DRIVER_CONFIG has
{url, transports, final}. Prints one JSON object for each case."""

import json
import os
import threading
import traceback

import socketio
from engineio.packet import CLOSE, Packet

config = json.loads(os.environ["DRIVER_CONFIG"])
LIMIT = 20  # seconds; ends a hang, measures nothing


class Client(socketio.Client):
    """A client that keeps what it receives."""

    def __init__(self):
        super().__init__(reconnection=False)
        self.seen = []
        self.news = threading.Condition()

    def keep(self, event, namespace="/"):
        def handler(*args):
            with self.news:
                self.seen.append((event, *args))
                self.news.notify_all()

        self.on(event, handler, namespace=namespace)

    def wait_for(self, ok, what):
        with self.news:
            if not self.news.wait_for(lambda: ok(self.seen), LIMIT):
                raise AssertionError(f"waited in vain: {what}; have {self.seen!r}"[:500])


clients = []


def connect(namespaces=("/",), auth=None, keep=()):
    client = Client()
    clients.append(client)
    for event in keep:
        for namespace in namespaces:
            client.keep(event, namespace)
    client.connect(config["url"], transports=config["transports"], namespaces=list(namespaces), auth=auth, wait_timeout=LIMIT)
    return client


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}"[:1000])


def same(got, want):
    """The same in any order: the client handles each event in a thread of its own."""
    equal(sorted(got, key=repr), sorted(want, key=repr))


def ends_on_transport():
    client = connect()
    equal(client.transport(), config["final"])
    equal(client.call("whoami", timeout=LIMIT)["transport"], config["final"])


def carries_events():
    client = connect(keep=["echo"])
    values = [1, "ünï ☃ 😀", [None, True, {"a": [1.5]}], {"b": ""}]
    for value in values:
        client.emit("echo", value)
    client.wait_for(lambda seen: len(seen) == len(values), "every echo")
    same(client.seen, [("echo", value) for value in values])


def acknowledges():
    client = connect(keep=["answered"])
    equal(client.call("echo", {"x": 1}, timeout=LIMIT), {"x": 1})
    equal(client.call("echo", (1, "two"), timeout=LIMIT), (1, "two"))
    client.on("question", lambda v: {"got": v})
    client.emit("ask", 7)
    client.wait_for(lambda seen: seen, "the answer")
    equal(client.seen, [("answered", {"got": 7})])


def carries_binary():
    client = connect(keep=["echo"])
    value = {"a": [b"\x01\x02", {"b": b""}], "c": b"\x00\xff\x1e"}
    equal(client.call("echo", value, timeout=LIMIT), value)
    client.emit("echo", (b"x", value))
    client.wait_for(lambda seen: seen, "the echo")
    equal(client.seen, [("echo", b"x", value)])
    equal(client.call("blob", 100000, timeout=LIMIT), bytes(i % 251 for i in range(100000)))


def joins_namespaces():
    names = ("/", "/chat", "/dyn-3")
    client = connect(names)
    equal(len({client.get_sid(name) for name in names}), 3)
    for name in names:
        equal(client.call("echo", name, namespace=name, timeout=LIMIT), name)


def is_refused():
    client = Client()
    clients.append(client)
    client.keep("connect_error", "/auth")
    try:
        client.connect(config["url"], transports=config["transports"], namespaces=["/auth"], auth={"token": "no"}, wait_timeout=2)
        raise AssertionError("the server let it in")
    except socketio.exceptions.ConnectionError:
        pass
    client.wait_for(lambda seen: seen, "connect_error")
    equal(client.seen[0][1], {"message": "not authorised", "data": {"code": 401, "hint": "send a token"}})


def is_let_in():
    client = connect(("/auth",), auth={"token": "secret"})
    equal(client.call("whoami", namespace="/auth", timeout=LIMIT)["auth"], {"token": "secret"})


def takes_many_packets():
    client = connect(keep=["item", "burst-end"])
    client.emit("burst", 100)
    client.wait_for(lambda seen: len(seen) == 101, "the burst and its end")
    same(client.seen, [("item", i) for i in range(100)] + [("burst-end", 100)])


def acks_and_events_in_one_poll():
    client = connect(keep=["echo"])
    replies = []

    def reply(v):
        with client.news:
            replies.append(v)
            client.news.notify_all()

    for i in range(12):
        client.emit("echo", i)
        client.emit("echo", i, callback=reply)
    client.wait_for(lambda seen: len(seen) == 12 and len(replies) == 12, "12 events and 12 acknowledgements")
    equal(sorted(replies), list(range(12)))


def rooms():
    a, b = connect(keep=["said"]), connect(keep=["said"])
    a.call("join", "python", timeout=LIMIT)
    b.emit("say", ("python", "hello", b"\x01"))
    a.wait_for(lambda seen: seen, "the message to the room")
    equal(a.seen, [("said", "hello", b"\x01")])
    b.call("echo", 0, timeout=LIMIT)
    equal(b.seen, [])


def is_disconnected():
    client = connect()
    gone = threading.Event()
    client.on("disconnect", lambda *_: gone.set())
    client.emit("kick", False)
    if not gone.wait(LIMIT):
        raise AssertionError("the disconnect did not arrive")


def leaves_before_the_next_ping():
    # Leaving joins the thread that waits for its poll: with pings half an hour apart, a poll that the server does not
    # let go at once would keep it there far beyond any limit. The close packet is sent by hand: the client's own
    # disconnect() forgets it if its writing thread happens to be busy.
    client = connect()
    client.call("echo", 1, timeout=LIMIT)
    if client.transport() == "polling":
        client.eio._send_packet(Packet(CLOSE))
    else:
        client.eio.disconnect(abort=True)
    client.eio.read_loop_task.join(LIMIT)
    if client.eio.read_loop_task.is_alive():
        raise AssertionError("the poll is still held")


for case in (
    ends_on_transport,
    carries_events,
    acknowledges,
    carries_binary,
    joins_namespaces,
    is_refused,
    is_let_in,
    takes_many_packets,
    acks_and_events_in_one_poll,
    rooms,
    is_disconnected,
    leaves_before_the_next_ping,
):
    line = {"case": case.__name__.replace("_", " ")}
    if config["reference"] and config["final"] == "polling" and case in (takes_many_packets, acks_and_events_in_one_poll):
        line["skip"] = "the Node server sends more than the sixteen packets at once that this client takes"
        print(json.dumps(line), flush=True)
        continue
    try:
        case()
    except BaseException:
        line["error"] = traceback.format_exc()
    for c in clients:
        if c.connected:
            c.disconnect()
    clients.clear()
    print(json.dumps(line), flush=True)

# Threads of a client that a failed case left behind must not keep the process.
os._exit(0)
