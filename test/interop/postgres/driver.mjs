// A Node server with @socket.io/postgres-adapter, its emitter, and stock clients of both servers. What the Go server is to
// do, it asks the test for.
import { EventEmitter } from "node:events";
import { createServer } from "node:http";
import { check, config, equal, next, require, run, test, until, within } from "../node/lib.mjs";

const { Server } = require("socket.io");
const { io: connect } = require("socket.io-client");
const { createAdapter } = require("@socket.io/postgres-adapter");
const { Emitter } = require("@socket.io/postgres-emitter");
const { Pool } = require("pg");

const pool = new Pool({ host: config.host, user: "test", database: "postgres" });
// Without these a lost connection ends the process.
pool.on("error", () => {});
pool.on("connect", (client) => client.on("error", () => {}));
const http = createServer();
const server = new Server(http, {
  adapter: createAdapter(pool, { errorHandler: (err) => console.error(err) }),
});
const heard = new EventEmitter();
server.on("serverside", (value, answer) => {
  heard.emit("told", value);
  answer?.({ node: value });
});
await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
const urls = { node: `http://127.0.0.1:${http.address().port}`, go: config.go };
const emitter = new Emitter(pool, "/");

await until(() => server.of("/").adapter.nodesMap.size === 1, "Node to know of the Go server");
await within(test("together"), "the Go server to know of Node");

// clients connects one client to each server.
async function clients(t) {
  const both = {};
  for (const [where, url] of Object.entries(urls)) {
    const socket = connect(url, { transports: ["websocket"], forceNew: true, reconnection: false });
    t.after(() => socket.close());
    await next(socket, "connect");
    both[where] = socket;
  }
  return both;
}

// both waits for the same event at both clients.
const both = (c, event) => Promise.all([next(c.node, event), next(c.go, event)]);

const bytes = (n) => Buffer.alloc(n, "\x00\x01\xfe");
const sizes = [0, 10, 7800, ...Array.from({ length: 21 }, (_, i) => 7800 + i * 11), 100_000, 1 << 20];

await run({
  "Node broadcasts": async (t) => {
    const c = await clients(t);
    for (const args of [[1, "two", { three: [null] }], [bytes(5)], [bytes(20_000), "x"], ["x".repeat(20_000)]]) {
      const got = both(c, "ev");
      server.emit("ev", ...args);
      for (const g of await got) equal(g, args, "arguments");
    }
  },
  "Go broadcasts": async (t) => {
    const c = await clients(t);
    for (const kind of ["small", "binary", "large", "large binary"]) {
      const got = both(c, "ev");
      const size = await test("broadcast", { kind });
      const [a, b] = await got;
      equal(a, b, "arguments");
      equal(a[1].length, size, "size");
      check(kind.includes("binary") === Buffer.isBuffer(a[1]), "binary stays binary");
    }
  },
  "Go's sizes": async (t) => {
    const c = await clients(t);
    const got = [];
    const done = next(c.node, "end");
    c.node.on("size", (s) => got.push(s.length));
    await test("sizes", { sizes });
    await done;
    // Node does not keep the order of those that it has to fetch.
    await until(() => got.length === sizes.length, `all sizes, got ${got.length}`);
    equal(got.sort((a, b) => a - b), [...sizes].sort((a, b) => a - b), "sizes");
  },
  "Node's sizes": async (t) => {
    const c = await clients(t);
    for (const n of sizes) {
      // 8000 bytes is what Node's adapter itself fails to send.
      const envelope = JSON.stringify({
        type: 3, data: { packet: { type: 2, data: ["size", "x".repeat(n)] }, opts: { rooms: [], except: [], flags: {} } },
        uid: "0123456789abcdef", nsp: "/",
      });
      if (envelope.length === 8000) continue;
      const got = next(c.go, "size", `${n} bytes`);
      server.emit("size", "x".repeat(n));
      equal((await got)[0].length, n, "size");
    }
  },
  "rooms and exceptions": async (t) => {
    const c = await clients(t);
    server.in(c.go.id).socketsJoin(["r1", "r2"]);
    await test("join", { id: c.node.id, room: "r1" });
    await until(() => server.of("/").adapter.rooms.has("r1"), "Go's join at Node");
    await within(test("member", { room: "r2" }), "Node's join at Go");
    const seen = [];
    c.go.on("ev", (v) => seen.push("go" + v));
    c.node.on("ev", (v) => seen.push("node" + v));
    // Node keeps no order here.
    server.to("r1").emit("ev", 1);
    server.to("r1").except("r2").emit("ev", 2);
    server.to(c.go.id).emit("ev", 3);
    await until(() => seen.length === 4, "four events");
    server.in("r1").socketsLeave("r2");
    await within(test("no member", { room: "r2" }), "Node's leave at Go");
    server.to("r2").emit("ev", 4);
    equal(seen.sort(), ["go1", "go3", "node1", "node2"], "who received what");
    seen.length = 0;
    const end = both(c, "end");
    await test("rooms", { id: c.node.id });
    await end;
    equal(seen.sort(), ["go1", "go4", "node1", "node2"], "who received what of Go");
  },
  "acknowledgements of many": async (t) => {
    const c = await clients(t);
    for (const [where, socket] of Object.entries(c)) socket.on("ask", (v, answer) => answer({ where, v }));
    const sorted = (list) => list.map((a) => a.where).sort();
    equal(sorted(await server.timeout(10_000).emitWithAck("ask", 1)), ["go", "node"], "answers to Node");
    equal(sorted(await test("ask")), ["go", "node"], "answers to Go");
    for (const socket of Object.values(c)) socket.off("ask").on("ask", (v, answer) => answer(Buffer.from([1, 2])));
    for (const a of await server.timeout(10_000).emitWithAck("ask", bytes(9))) equal(a, Buffer.from([1, 2]), "binary answer");
    equal(await test("ask binary"), 4, "bytes in answers to Go");
  },
  "fetchSockets": async (t) => {
    const c = await clients(t);
    const ids = [c.go.id, c.node.id].sort();
    const sockets = await server.fetchSockets();
    equal(sockets.map((s) => s.id).sort(), ids, "what Node sees");
    const remote = sockets.find((s) => s.id === c.go.id);
    check(remote.handshake.url.startsWith("/socket.io/") && remote.rooms.has(c.go.id), "handshake and rooms");
    equal((await test("sockets")).sort(), ids, "what Go sees");
    const got = next(c.go, "direct");
    remote.emit("direct", 1);
    equal(await got, [1], "event to a remote socket");
  },
  "disconnect": async (t) => {
    const c = await clients(t);
    const gone = both(c, "disconnect");
    server.in(c.go.id).disconnectSockets(true);
    await test("disconnect", { id: c.node.id });
    await gone;
  },
  "serverSideEmit": async () => {
    const told = next(heard, "told");
    await test("serverside", { value: 1 });
    equal(await told, [1], "Go's event at Node");
    equal(await test("serverside ack", { value: 2 }), [{ node: 2 }], "Node's answer");
    server.serverSideEmit("serverside", 3);
    equal(await within(test("told"), "Node's event at Go"), 3, "Node's event at Go");
    equal(await server.serverSideEmitWithAck("serverside", 4), [{ go: 4 }], "Go's answer");
  },
  "Node's emitter": async (t) => {
    const c = await clients(t);
    for (const args of [[1], [bytes(9)], ["x".repeat(20_000)]]) {
      const got = next(c.go, "ev"); // Node's adapter does not understand Node's emitter
      emitter.emit("ev", ...args);
      equal(await got, args, "arguments");
    }
    emitter.in(c.go.id).socketsJoin("e1");
    await within(test("member", { room: "e1" }), "the emitter's join");
    emitter.serverSideEmit("serverside", 5);
    equal(await within(test("told"), "the emitter's event"), 5, "the emitter's event");
    const gone = next(c.go, "disconnect");
    emitter.in("e1").disconnectSockets(true);
    await gone;
  },
  "Go's emitter": async (t) => {
    const c = await clients(t);
    for (const kind of ["small", "binary", "large"]) {
      const got = both(c, "ev");
      const size = await test("emitter", { kind });
      for (const g of await got) equal(g[1].length, size, "size");
    }
    const told = next(heard, "told");
    const gone = next(c.node, "disconnect");
    await test("emitter others", { id: c.node.id });
    equal(await told, [6], "the emitter's event");
    await gone;
  },
  "PostgreSQL restarts": async (t) => {
    const c = await clients(t);
    await test("restart");
    let arrived = false;
    c.go.on("again", () => (arrived = true));
    await until(() => (server.emit("again"), arrived), "an event from Node");
    arrived = false;
    c.node.on("again go", () => (arrived = true));
    await until(() => (test("again").catch(() => {}), arrived), "an event from Go");
  },
});
