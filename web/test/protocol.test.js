// What the client does with packets and with time, against servers that say just what the test wants.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { Server } from "socket.io";
import { WebSocketServer } from "ws";
import { client, connected, io, listen, Manager, next, open, rawServer } from "./support.js";

const ws = { transports: ["websocket"] };

/** A published server in this process. */
async function stock(t, opts) {
  const http = createServer();
  const server = new Server(http, opts);
  t.after(() => server.close());
  return { server, url: await listen(t, http) };
}

/** A raw server that lets everyone in and hands over what they send. */
function greeter(t, onMessage, handshake) {
  return rawServer(
    t,
    (peer) =>
      peer.on("message", (data, binary) => {
        const text = binary ? data : data.toString();
        if (text === "40") peer.send('40{"sid":"s"}');
        else onMessage?.(text, peer);
      }),
    handshake,
  );
}

test("exports what it should", () => {
  assert.equal(client.protocol, 5);
  assert.equal(client.default, client.io);
  assert.equal(client.connect, client.io);
  for (const name of ["Manager", "Socket", "Transport", "TransportError"]) assert.equal(typeof client[name], "function");
  assert.deepEqual(Object.keys(client.transports), ["websocket", "polling", "streaming"]);
});

test("reads addresses in all their forms", (t) => {
  const closed = { autoConnect: false, forceNew: true };
  const read = (uri, opts) => {
    const socket = io(uri, { ...closed, ...opts });
    return [socket.io.uri, socket.nsp];
  };
  assert.deepEqual(read("http://a"), ["http://a:80/", "/"]);
  assert.deepEqual(read("https://a/b/c?d=e#f"), ["https://a:443/?d=e", "/b/c"]);
  assert.deepEqual(read("ws://a:1/b"), ["http://a:1/", "/b"]);
  assert.deepEqual(read("wss://user:pass@a/"), ["https://a:443/", "/"]);
  assert.deepEqual(read("http://[::1]:8/n"), ["http://[::1]:8/", "/n"]);
  assert.deepEqual(read("a.example:81/n"), ["https://a.example:81/", "/n"]);
  globalThis.location = { protocol: "http:", host: "page:8080" };
  t.after(() => delete globalThis.location);
  assert.deepEqual(read(), ["http://page:8080/", "/"]);
  assert.deepEqual(read("/chat"), ["http://page:8080/", "/chat"]);
  assert.deepEqual(read("//b/chat"), ["http://b:80/", "/chat"]);
  assert.deepEqual(io(closed).nsp, "/");
  assert.throws(() => read("http://a/" + "x".repeat(8000)), /too long/);
  assert.throws(() => read("http://"), /invalid URI/);
});

test("refuses the names of its own events", () => {
  const socket = io("http://a", { autoConnect: false, forceNew: true });
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
    assert.throws(() => socket.emit(name), /reserved/);
  }
});

for (const [what, packets] of Object.entries({
  "no packet": ["4x"],
  "an unknown type": ["49"],
  "JSON that is none": ['42["a"'],
  "an event that is no array": ['42{"a":1}'],
  "a reserved event": ['42["disconnect"]'],
  "an event with an object for a name": ['42[{"toString":"a"}]'],
  "attachments none of which are announced": [Buffer.from([1])],
  "no attachments where some belong": ['450-["a"]'],
  "text between attachments": ['451-["a",{"_placeholder":true,"num":0}]', '42["b"]'],
  "a placeholder out of range": ['451-["a",{"_placeholder":true,"num":1}]', Buffer.from([1])],
  "a placeholder with a name": ['451-["a",{"_placeholder":true,"num":"length"}]', Buffer.from([1])],
  "a disconnect with data": ["41{}"],
  "an acknowledgement without an array": ["431{}"],
  "an unknown frame": ["9"],
})) {
  test(`closes with a parse error on ${what}`, async (t) => {
    const url = await greeter(t, (text, peer) => packets.forEach((p) => peer.send(p)));
    const socket = await connected(t, url, { ...ws, reconnection: false });
    socket.emit("go");
    const [reason, details] = await next(socket, "disconnect");
    assert.equal(reason, "parse error");
    assert.ok(details instanceof Error);
  });
}

test("says in its own words that a server is too old", async (t) => {
  const url = await rawServer(t, (peer) => peer.send("40"));
  const [err] = await next(open(t, url, ws), "connect_error");
  assert.match(err.message, /older protocol/);
});

test("gives up a server that falls silent", async (t) => {
  const url = await greeter(t, undefined, { pingInterval: 30, pingTimeout: 30 });
  const socket = await connected(t, url, { ...ws, reconnection: false });
  assert.deepEqual(await next(socket, "disconnect"), ["ping timeout", undefined]);
});

test("keeps what is emitted after the machine slept", async (t) => {
  const events = [];
  let arrived;
  const twice = new Promise((resolve) => (arrived = resolve));
  const url = await greeter(t, (text) => events.push(text) && arrived());
  const socket = await connected(t, url, ws);
  const now = Date.now;
  t.after(() => (Date.now = now));
  Date.now = () => now() + 46000;
  const gone = next(socket, "disconnect");
  socket.emit("late");
  Date.now = now;
  assert.equal(socket.sendBuffer.length, 1);
  assert.equal((await gone)[0], "ping timeout");
  await twice;
  assert.deepEqual(events, ['42["late"]']);
});

test("writes packets as they are specified", async (t) => {
  const got = [];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const url = await rawServer(t, (peer) => {
    peer.on("message", (data, binary) => {
      got.push(binary ? [...data] : data.toString());
      if (got.at(-1) === "40/n,") peer.send('40/n,{"sid":"s"}');
      if (got.at(-1) === '42/n,["end"]') done();
    });
  });
  const socket = open(t, url + "/n", ws);
  await next(socket, "connect");
  socket.emit("a", 1, "x", undefined, null);
  socket.emit("b", () => {});
  socket.emit("c", { deep: [new Uint8Array([1, 2])] }, Buffer.from([3]), () => {});
  socket.send("hello");
  socket.compress(false).emit("end");
  await all;
  assert.deepEqual(got, [
    "40/n,",
    '42/n,["a",1,"x",null,null]',
    '42/n,0["b"]',
    '452-/n,1["c",{"deep":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]',
    [1, 2],
    [3],
    '42/n,["message","hello"]',
    '42/n,["end"]',
  ]);
});

test("acknowledges once, with binary too", async (t) => {
  let answer;
  const answered = new Promise((resolve) => (answer = resolve));
  const got = [];
  const url = await greeter(t, (data, peer) => {
    if (data === '42["go"]') peer.send('427["q"]');
    else if (got.push(data) === 3) answer();
  });
  const socket = await connected(t, url, ws);
  socket.on("q", (ack) => {
    ack(new Uint8Array([5]), "x");
    ack("again");
    socket.emit("end");
  });
  socket.emit("go");
  await answered;
  assert.deepEqual(got.map(String), ['461-7[{"_placeholder":true,"num":0},"x"]', "\x05", '42["end"]']);
});

test("waits for acknowledgements as long as it was told", async (t) => {
  const url = await greeter(t);
  const socket = open(t, url, { ...ws, ackTimeout: 20, autoConnect: false });
  socket.emit("never sent", (err) => assert.match(err.message, /timed out/));
  await assert.rejects(socket.timeout(1).emitWithAck("neither"), /timed out/);
  await assert.rejects(socket.emitWithAck("by option"), /timed out/);
  assert.equal(socket.sendBuffer.length, 0);
  socket.connect();
  await next(socket, "connect");
  const lost = assert.rejects(socket.timeout(60000).emitWithAck("lost"), /disconnected/);
  socket.disconnect();
  await lost;
  const patient = await connected(t, url, ws);
  patient.emit("plain", () => assert.fail("nobody acknowledged that"));
  patient.disconnect();
});

test("forgets flags after one emit, and drops volatile events that can't leave", async (t) => {
  const got = [];
  let done;
  const end = new Promise((resolve) => (done = resolve));
  const url = await greeter(t, (text) => (text.includes("end") ? done() : got.push(text)));
  const socket = open(t, url, ws);
  socket.volatile.emit("dropped");
  socket.emit("kept");
  await next(socket, "connect");
  socket.emit("end");
  await end;
  assert.deepEqual(got, ['42["kept"]']);
});

test("catch-all listeners see everything, in their order", async (t) => {
  const url = await greeter(t, (text, peer) => text.includes("go") && peer.send('42["news",1]'));
  const socket = await connected(t, url, ws);
  const seen = [];
  const second = (event, ...args) => seen.push(["in", event, ...args]);
  socket.onAny(second).prependAny((event) => seen.push(["first", event]));
  socket.onAnyOutgoing((event, ...args) => seen.push(["out", event, ...args]));
  assert.equal(socket.listenersAny().length, 2);
  socket.emit("go", 2);
  await next(socket, "news");
  assert.deepEqual(seen, [
    ["out", "go", 2],
    ["first", "news"],
    ["in", "news", 1],
  ]);
  socket.offAny(second).offAny().offAnyOutgoing();
  assert.equal(socket.listenersAny().length + socket.listenersAnyOutgoing().length, 0);
});

test("listeners come, go, and come once", () => {
  const manager = new Manager("http://a", { autoConnect: false });
  const calls = [];
  const always = (x) => calls.push("always " + x);
  const once = (x) => calls.push("once " + x);
  manager.on("e", always).once("e", once).addEventListener("e", always);
  const socket = manager.socket("/");
  assert.equal(manager.hasListeners("e"), true);
  assert.equal(socket.hasListeners("e"), false);
  manager.removeListener("e", always);
  assert.equal(manager.listeners("e").length, 2);
  manager.off("e", once);
  assert.equal(manager.listeners("e").length, 1);
  manager.removeAllListeners();
  assert.equal(manager.hasListeners("e"), false);
  assert.deepEqual(calls, []);
});

test("an error in a listener is the page's own", async (t) => {
  const url = await greeter(t, (text, peer) => peer.send('42["news"]'));
  const socket = await connected(t, url, ws);
  const caught = new Promise((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  socket.once("news", () => {
    throw new Error("mine");
  });
  socket.emit("go");
  assert.equal((await caught).message, "mine");
  socket.emit("again");
  await next(socket, "news");
});

test("sends an event until it is acknowledged, one at a time", async (t) => {
  const got = [];
  const url = await greeter(t, (text, peer) => {
    if (text === "41") return;
    got.push(text);
    // The first try is lost, the second one's answer comes.
    if (got.length > 1) peer.send("43" + /\d+(?=\[)/.exec(text.slice(2))[0] + '["ok"]');
  });
  const socket = await connected(t, url, { ...ws, retries: 2, ackTimeout: 30 });
  const first = socket.emitWithAck("a");
  const second = socket.emitWithAck("b");
  assert.equal(await first, "ok");
  assert.equal(await second, "ok");
  assert.deepEqual(got, ['420["a"]', '421["a"]', '422["b"]']);
});

test("gives an event up after its retries", async (t) => {
  let tries = 0;
  const url = await greeter(t, () => tries++);
  const socket = await connected(t, url, { ...ws, retries: 1, ackTimeout: 10 });
  await assert.rejects(socket.emitWithAck("a"), /timed out/);
  assert.equal(tries, 2);
});

test("sends the session and the last offset with the next connect, and auth", async (t) => {
  const connects = [];
  let round = 0;
  const url = await rawServer(t, (peer) =>
    peer.on("message", (data) => {
      const text = data.toString();
      if (!text.startsWith("40")) return;
      connects.push(text);
      peer.send('40{"sid":"s","pid":"p"}');
      // Only an event whose last argument is a string beyond its name has an offset.
      if (!round++) for (const packet of ['42["a",1,"off1"]', '42["tick"]']) peer.send(packet);
      peer.close();
    }),
  );
  const socket = open(t, url, { ...ws, auth: { token: 1 } });
  const seen = [];
  socket.onAny((event, ...args) => seen.push([event, ...args]));
  for (let i = 0; i < 2; i++) await next(socket, "connect");
  assert.equal(socket.recovered, true);
  assert.deepEqual(seen, [["a", 1, "off1"], ["tick"]]);
  assert.deepEqual(connects.slice(0, 2), ['40{"token":1}', '40{"pid":"p","offset":"off1","token":1}']);
});

test("delivers what came before the connect was answered, and flushes before connect fires", async (t) => {
  const got = [];
  const url = await rawServer(t, (peer) =>
    peer.on("message", (data) => {
      got.push(data.toString());
      if (got.at(-1) !== "40") return;
      peer.send('42["early"]');
      peer.send('40{"sid":"s"}');
    }),
  );
  const socket = open(t, url, ws);
  const order = [];
  socket.onAny((event) => order.push(event)).onAnyOutgoing((event) => order.push("sent " + event));
  socket.on("connect", () => order.push("connect"));
  socket.emit("buffered");
  await next(socket, "connect");
  assert.deepEqual(order, ["early", "sent buffered", "connect"]);
});

test("tries again with growing delays, and says when it has had enough", async (t) => {
  const url = await listen(t, createServer((req, res) => res.writeHead(503).end()));
  const manager = new Manager(url, {
    autoConnect: false,
    transports: ["polling"],
    reconnectionAttempts: 3,
    reconnectionDelay: 4,
    reconnectionDelayMax: 10,
  });
  const delays = [];
  const timer = globalThis.setTimeout;
  t.after(() => (globalThis.setTimeout = timer));
  globalThis.setTimeout = (f, ms, ...args) => {
    if (ms <= 10) delays.push(ms);
    return timer(f, ms, ...args);
  };
  const events = [];
  manager.on("reconnect_attempt", (n) => events.push("attempt " + n));
  manager.on("reconnect_error", (err) => events.push(err.message));
  const socket = manager.socket("/");
  let errors = 0;
  socket.on("connect_error", () => errors++);
  socket.connect();
  await next(manager, "reconnect_failed");
  assert.deepEqual(
    events.filter((e) => e.startsWith("attempt")),
    ["attempt 1", "attempt 2", "attempt 3"],
  );
  assert.ok(events.includes("polling: HTTP 503"));
  assert.equal(errors, 4);
  assert.equal(delays.length, 3);
  delays.forEach((ms, i) => assert.ok(ms >= Math.min(10, 2 * 2 ** i) && ms <= Math.min(10, 6 * 2 ** i), `${delays}`));
});

test("the settings are methods", () => {
  const manager = new Manager("http://a", { autoConnect: false, reconnectionDelay: 7 });
  assert.equal(manager.reconnectionDelay(), 7);
  assert.equal(manager.reconnectionDelay(8).reconnectionDelay(), 8);
  assert.equal(manager.reconnection(), true);
  assert.equal(manager.timeout(), 20000);
});

test("reconnects when the options change in between", async (t) => {
  const { url, server } = await stock(t);
  server.on("connection", (socket) => socket.on("which", (ack) => ack(socket.handshake.query.v)));
  const socket = await connected(t, url, { ...ws, query: { v: 1 } });
  assert.equal(await socket.emitWithAck("which"), "1");
  socket.io.opts.query = { v: 2 };
  const back = next(socket, "connect");
  for (const session of Object.values(server.engine.clients)) session.close();
  await back;
  assert.equal(await socket.emitWithAck("which"), "2");
});

test("takes back a connect that was answered too late", async (t) => {
  const got = [];
  let done;
  const taken = new Promise((resolve) => (done = resolve));
  const url = await rawServer(t, (peer) =>
    peer.on("message", (data) => {
      const text = data.toString();
      got.push(text);
      if (text === "40") peer.send('40{"sid":"s"}');
      if (text === '42["now"]') peer.send('40/slow,{"sid":"t"}');
      if (text === "41/slow,") done();
    }),
  );
  const socket = await connected(t, url, ws);
  const slow = socket.io.socket("/slow");
  slow.disconnect();
  socket.emit("now");
  await taken;
  assert.deepEqual(got, ["40", "40/slow,", '42["now"]', "41/slow,"]);
});

test("posts no more at once than the server takes, and one after the other", async (t) => {
  const posts = [];
  let busy = false;
  let held;
  let first = true;
  const url = await listen(
    t,
    createServer(async (req, res) => {
      if (req.method === "GET") {
        if (first) {
          res.end('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}');
          first = false;
        } else {
          held = res;
        }
        return;
      }
      assert.equal(busy, false);
      busy = true;
      let body = "";
      for await (const chunk of req) body += chunk;
      posts.push(body);
      busy = false;
      res.end("ok");
      if (body === "40") held.end('40{"sid":"s"}');
    }),
  );
  const socket = await connected(t, url, { transports: ["polling"] });
  const all = new Promise((resolve) => {
    for (let i = 0; i < 20; i++) socket.emit("n");
    for (let i = 0; i < 3; i++) socket.emit("é".repeat(20));
    socket.emit("x".repeat(200), new Uint8Array(31));
    socket.io.engine.on("drain", () => posts.join("").endsWith("=") && resolve());
  });
  await all;
  const sizes = posts.slice(1).map((body) => body.split("\x1e").length);
  const bytes = posts.slice(1).map((body) => Buffer.byteLength(body));
  assert.deepEqual(sizes.reduce((a, b) => a + b), 25);
  for (const [i, size] of sizes.entries()) {
    assert.ok(size <= 16);
    // What is too large on its own goes alone: the server shall say so.
    assert.ok(bytes[i] <= 100 || size === 1, `${sizes} ${bytes}`);
  }
  assert.equal(sizes[0], 12);
});

test("the classic script leaves one global that does it all", async () => {
  const { readFileSync } = await import("node:fs");
  const { runInNewContext } = await import("node:vm");
  for (const name of ["socket.io.js", "socket.io.min.js"]) {
    const page = { location: { protocol: "http:", host: "page" }, URLSearchParams, setTimeout, clearTimeout, queueMicrotask };
    runInNewContext(readFileSync(new URL("../dist/" + name, import.meta.url), "utf8"), page);
    assert.equal(typeof page.io, "function");
    assert.equal(page.io.protocol, 5);
    assert.equal(page.io.connect, page.io);
    assert.equal(page.io.io, page.io);
    assert.equal(page.io("/n", { autoConnect: false }).nsp, "/n");
    assert.ok(new page.io.Manager({ autoConnect: false }) instanceof page.io.Manager);
  }
});

test("a WebSocket that is cut tells how", async (t) => {
  const http = createServer();
  const wss = new WebSocketServer({ server: http });
  wss.on("connection", (peer) => {
    peer.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
    peer.on("message", (data) => (data.toString() === "40" ? peer.send('40{"sid":"s"}') : peer.close(4000, "enough")));
  });
  const socket = await connected(t, await listen(t, http), { ...ws, reconnection: false });
  socket.emit("x");
  const [reason, details] = await next(socket, "disconnect");
  assert.equal(reason, "transport close");
  assert.equal(details.description, "websocket connection closed");
  assert.equal(details.context.code, 4000);
});
