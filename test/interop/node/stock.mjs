// Cases that a stock socket.io-client runs against the application (see package app), over the transports that the
// configuration names: {url, direct, transports, final, client}. `url` leads through a proxy
// that the test can cut, `direct` does not. `final` is the transport that must carry the connection in the end.
import { Skipped, ask, check, collect, config, connected, cut, equal, next, open, parser, require, run, settled, test, until } from "./lib.mjs";

const { Manager } = require(config.client);
const v3 = config.client.endsWith("v3");

const bytes = (...b) => Buffer.from(b);
const pattern = (n) => Buffer.from(Array.from({ length: n }, (_, i) => i % 251));

await run({
  async "connects and ends on the expected transport"(c) {
    const socket = await connected(c);
    check(/^[\w-]{20}$/.test(socket.id), `id ${socket.id}`);
    await settled(socket);
    // The server changes over when it has read the client's last word of the upgrade, which is before the request.
    equal((await ask(socket, "whoami")).transport, config.final);
    equal((await ask(socket, "whoami")).id, socket.id);
  },

  async "carries events with any JSON value"(c) {
    const socket = await connected(c);
    const values = [
      [],
      [1, -2.5, "two", null, true, false],
      [{ a: { b: [{ c: [[]] }] } }, []],
      ["", "ünï ☃ 😀 \u2028 \u0000 \u001e \" \\ / <&>", "\r\n\t"],
      [{ _placeholder: "no", "": 0, "a b": [1] }],
      // The msgpack codec writes whole numbers modulo 2^64.
      [Number.MAX_SAFE_INTEGER, parser ? 1e19 : 1e21, 1e-7],
    ];
    const seen = [];
    socket.on("echo", (...args) => seen.push(args));
    for (const v of values) socket.emit("echo", ...v);
    await until(() => seen.length === values.length, "every echo");
    equal(seen, values);
  },

  async "acknowledges in both directions"(c) {
    const socket = await connected(c);
    equal(await ask(socket, "echo"), undefined);
    equal(await ask(socket, "echo", 1, "2", [3]), [1, "2", [3]]);
    socket.on("question", (v, ack) => ack({ got: v }));
    socket.emit("ask", { n: 1 });
    equal(await next(socket, "answered"), [{ got: { n: 1 } }]);
  },

  async "keeps many acknowledgements apart"(c) {
    const socket = await connected(c);
    const replies = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(socket, "echo", i)));
    equal(replies, Array.from({ length: 200 }, (_, i) => i));
  },

  async "acknowledges with a timeout"(c) {
    if (v3) throw new Skipped("socket.io-client 3.x has no acknowledgement timeouts");
    const socket = await connected(c);
    equal(await socket.timeout(20000).emitWithAck("echo", "in time"), "in time");
    let error;
    await socket.timeout(1).emitWithAck("nobody listens").catch((err) => (error = err));
    equal(error?.message, "operation has timed out");
  },

  async "keeps the order of many events"(c) {
    const socket = await connected(c);
    const seen = collect(socket, "echo");
    for (let i = 0; i < 300; i++) socket.emit("echo", i);
    await until(() => seen.length === 300, "300 echoes");
    equal(seen, Array.from({ length: 300 }, (_, i) => i));
  },

  async "takes more than sixteen packets at once"(c) {
    const socket = await connected(c);
    const seen = collect(socket, "item");
    socket.emit("burst", 100);
    equal(await next(socket, "burst-end"), [100]);
    equal(seen, Array.from({ length: 100 }, (_, i) => i));
  },

  async "carries binary at any depth"(c) {
    const socket = await connected(c);
    const value = { a: [{ b: bytes(1, 2, 3) }, bytes()], c: { d: { e: bytes(0, 255, 30, 10) } }, f: "text" };
    equal(await ask(socket, "echo", value, bytes(9)), [value, bytes(9)]);
    socket.emit("echo", bytes(7), value);
    equal(await next(socket, "echo"), [bytes(7), value]);
    socket.on("question", (v, ack) => ack({ back: v }));
    socket.emit("ask", [bytes(5, 6)]);
    equal(await next(socket, "answered"), [{ back: [bytes(5, 6)] }]);
    equal(await ask(socket, "blob", 1000), pattern(1000));
  },

  async "mixes binary and text in order"(c) {
    const socket = await connected(c);
    const seen = collect(socket, "echo");
    const sent = [];
    for (let i = 0; i < 60; i++) sent.push(i % 3 ? i : { i, data: bytes(i, i + 1) });
    for (const v of sent) socket.emit("echo", v);
    await until(() => seen.length === sent.length, "every echo");
    equal(seen, sent);
  },

  async "carries large payloads"(c) {
    const socket = await settled(await connected(c));
    const text = "é☃".repeat(100000);
    equal((await ask(socket, "echo", text)) === text, true, "500 kB of text");
    const data = pattern(600000);
    equal(Buffer.compare(await ask(socket, "echo", data), data), 0, "600 kB of bytes");
    equal(Buffer.compare(await ask(socket, "blob", 3000000), pattern(3000000)), 0, "3 MB from the server");
  },

  async "survives a payload over the limit"(c) {
    const socket = await settled(await connected(c));
    const gone = next(socket, "disconnect");
    const back = gone.then(() => next(socket, "connect"));
    socket.emit("size", "x".repeat(1200000), () => {});
    const [reason] = await gone;
    check(["transport close", "transport error"].includes(reason), `reason ${reason}`);
    await back;
    equal(await ask(socket, "echo", 1), 1);
  },

  async "shares a connection among namespaces"(c) {
    const manager = new Manager(config.url, { transports: config.transports, parser });
    const names = ["/", "/chat", "/dyn-12"];
    const sockets = names.map((n) => manager.socket(n));
    c.after(() => manager.engine.close());
    c.after(() => sockets.forEach((s) => s.disconnect()));
    await Promise.all(sockets.map((s) => next(s, "connect")));
    equal(new Set(sockets.map((s) => s.id)).size, 3, "distinct ids");
    equal(await Promise.all(sockets.map((s, i) => ask(s, "echo", i))), [0, 1, 2]);
    const strays = collect(sockets[1], "everyone");
    sockets[0].emit("everyone", bytes(1));
    equal(await next(sockets[0], "everyone"), [bytes(1)]);
    equal(await ask(sockets[1], "echo", 1), 1);
    equal(strays, [], "events of another namespace");
    // Leaving one namespace leaves the others connected.
    sockets[1].disconnect();
    equal(await ask(sockets[2], "echo", 2), 2);
    sockets[1].connect();
    await next(sockets[1], "connect");
    equal(await ask(sockets[1], "echo", 3), 3);
  },

  async "is refused by an unknown namespace"(c) {
    const socket = open(c, "/nowhere");
    const [err] = await next(socket, "connect_error");
    equal(err.message, "Invalid namespace");
    equal(socket.connected, false);
  },

  async "passes auth and reports refusals with their data"(c) {
    const socket = open(c, "/auth", { auth: { token: "wrong" } });
    const [err] = await next(socket, "connect_error");
    equal(err.message, "not authorised");
    equal(err.data, { code: 401, hint: "send a token" });
    socket.auth = (cb) => cb({ token: "secret", extra: [1, { a: null }] });
    socket.connect();
    await next(socket, "connect");
    equal((await ask(socket, "whoami")).auth, { token: "secret", extra: [1, { a: null }] });
  },

  async "sends to rooms"(c) {
    const [a, b, d] = await Promise.all([connected(c), connected(c), connected(c)]);
    const room = "room of " + a.id;
    await ask(a, "join", room);
    await ask(b, "join", room);
    equal(await ask(a, "rooms"), [room]);
    const strays = collect(d, "said");
    a.emit("say", room, "hello", bytes(1));
    equal(await Promise.all([next(a, "said"), next(b, "said")]), [["hello", bytes(1)], ["hello", bytes(1)]]);
    await ask(b, "leave", room);
    equal(await ask(b, "rooms"), []);
    const left = collect(b, "said");
    a.emit("say", room, "again");
    equal(await next(a, "said"), ["again"]);
    // An answer on the same connection comes after whatever the room would have sent before it.
    await ask(b, "echo", 0);
    await ask(d, "echo", 0);
    equal([strays, left], [[], []]);
  },

  async "broadcasts to all, to others and to all but a room"(c) {
    const nsp = "/dyn-7";
    const [a, b, d] = await Promise.all([connected(c, nsp), connected(c, nsp), connected(c, nsp)]);
    const heard = [a, b, d].map((s) => ["everyone", "others", "excepted"].map((e) => collect(s, e)));
    await ask(d, "join", "quiet");
    a.emit("everyone", 1);
    a.emit("others", 2);
    a.emit("except", "quiet", 3);
    await until(() => heard[1][2].length === 1, "the last broadcast");
    await Promise.all([a, b, d].map((s) => ask(s, "echo", 0)));
    equal(heard, [
      [[1], [], [3]],
      [[1], [2], [3]],
      [[1], [2], []],
    ]);
    for (const [i, s] of [a, b, d].entries()) s.on("question", (v, ack) => ack(`${v}${i}`));
    equal(await ask(a, "askall", "q"), ["q0", "q1", "q2"]);
  },

  async "drops volatile events rather than reordering them"(c) {
    const socket = await settled(await connected(c));
    const seen = collect(socket, "tick");
    socket.emit("ticks", 50);
    equal(await next(socket, "ticks-end"), [50]);
    equal(seen, [...seen].sort((x, y) => x - y));
    check(new Set(seen).size === seen.length, "a volatile event came twice");
  },

  async "drops its own volatile events while disconnected"(c) {
    const socket = open(c, "", { autoConnect: false });
    const seen = collect(socket, "echo");
    socket.volatile.emit("echo", "dropped");
    socket.emit("echo", "kept");
    socket.connect();
    await until(() => seen.length > 0, "the buffered event");
    await ask(socket, "whoami");
    equal(seen, ["kept"]);
  },

  async "says on both sides that the client left"(c) {
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    const reason = ask(admin, "reason", socket.id);
    const gone = next(socket, "disconnect");
    socket.disconnect();
    equal((await gone)[0], "io client disconnect");
    // Closing the last namespace closes the connection; whichever is noticed first names the reason.
    check(["client namespace disconnect", "transport close"].includes(await reason), `reason ${await reason}`);
  },

  async "says that the server ended the namespace"(c) {
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    const reason = ask(admin, "reason", socket.id);
    socket.emit("kick", false);
    equal((await next(socket, "disconnect"))[0], "io server disconnect");
    equal(await reason, "server namespace disconnect");
    equal(socket.active, v3 ? socket.active : false);
  },

  async "says that the server ended the connection"(c) {
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    const reason = ask(admin, "reason", socket.id);
    const closed = next(socket.io.engine, "close");
    socket.emit("kick", true);
    equal((await next(socket, "disconnect"))[0], "io server disconnect");
    equal(await reason, "server namespace disconnect");
    await closed;
  },

  async "says that the transport closed"(c) {
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    await settled(socket);
    const reason = ask(admin, "reason", socket.id);
    socket.io.reconnection(false);
    socket.io.engine.close();
    equal(await reason, "transport close");
  },

  async "reconnects after the network was cut"(c) {
    const socket = await settled(await connected(c));
    const reason = await cut(socket);
    check(["transport close", "transport error"].includes(reason), `reason ${reason}`);
    equal(socket.connected, false);
    const back = next(socket, "connect");
    const echoed = next(socket, "echo");
    socket.emit("echo", "buffered");
    await back;
    equal(await echoed, ["buffered"]);
    await settled(socket);
  },

  async "reconnects after the server restarted"(c) {
    const socket = await settled(await connected(c));
    const id = socket.id;
    const attempts = collect(socket.io, "reconnect_attempt");
    const gone = next(socket, "disconnect");
    const back = gone.then(() => next(socket, "connect"));
    await test("restart");
    const [reason] = await gone;
    // A server that ends in good order may say so first; then the client does not come back by itself.
    check(["transport close", "transport error"].includes(reason), `reason ${reason}`);
    await back;
    check(socket.id !== id, "the id is a new one");
    check(attempts.length > 0, "no attempt to reconnect");
    equal(await ask(socket, "echo", 1), 1);
  },
});
