// What the client does about the page it runs in: it goes away, it goes offline, it has a memory, it has no
// streams. The page is a pretence: a document, events and a storage.

import assert from "node:assert/strict";
import { test } from "node:test";

const events = new EventTarget();
const stored = new Map();
Object.assign(globalThis, {
  document: {},
  addEventListener: events.addEventListener.bind(events),
  removeEventListener: events.removeEventListener.bind(events),
  sessionStorage: {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
  },
});
const { connected, io, kinds, listen, next, open, program, proxy } = await import("./support.js");
const { createServer } = await import("node:http");
const { Server } = await import("socket.io");

const happen = (name) => events.dispatchEvent(new Event(name));

async function stock(t, opts) {
  const http = createServer();
  const server = new Server(http, opts);
  t.after(() => server.close());
  return { server, url: await listen(t, http) };
}

for (const transports of [["websocket"], ["polling"]]) {
  for (const [event, options] of Object.entries({ pagehide: {}, beforeunload: { closeOnBeforeunload: true } })) {
    test(`leaves at once on ${event}, with its last words, over ${transports}`, async (t) => {
      const { url, server } = await stock(t);
      const said = [];
      let peer;
      const gone = new Promise((resolve) =>
        server.on("connection", (socket) => {
          peer ||= socket;
          socket.onAny((...args) => said.push(args));
          socket.on("disconnect", resolve);
        }),
      );
      const socket = await connected(t, url, { transports, ...options });
      const left = next(socket, "disconnect");
      socket.emit("bye", 1);
      happen(event);
      const [reason, details] = await left;
      assert.equal(reason, "transport close");
      assert.deepEqual(details, { description: "page left" });
      assert.equal(await gone, "transport close");
      assert.deepEqual(said, [["bye", 1]]);
      // A page that comes back out of the browser's cache connects again.
      await next(socket, "connect");
    });
  }
}

test("goes offline with the browser, but not from itself", async (t) => {
  const { url } = await stock(t);
  const near = await connected(t, url);
  const far = await connected(t, url.replace("127.0.0.1", "0.0.0.0"));
  const gone = next(far, "disconnect");
  happen("offline");
  assert.deepEqual(await gone, ["transport close", { description: "network connection lost" }]);
  assert.equal(near.connected, true);
});

test("remembers in the tab's storage what worked, for ten minutes", async (t) => {
  const { url } = await stock(t);
  const network = await proxy(t, url, { upgrade: 403 });
  const first = await connected(t, network.url, { remember: true });
  first.disconnect();
  const [key] = [...stored.keys()].filter((k) => k.includes(new URL(network.url).port));
  assert.equal(JSON.parse(stored.get(key)).transport, "polling");
  const now = Date.now;
  t.after(() => (Date.now = now));
  Date.now = () => now() + 601_000;
  const later = await connected(t, network.url, { remember: true });
  assert.deepEqual(later.io.transports.map((a) => a.name).slice(0, 2), ["websocket", "polling"]);
});

test("starts with what another page of the tab has learned", async (t) => {
  const { url } = await stock(t);
  stored.set(`sockeye:${url}/socket.io/`, JSON.stringify({ transport: "polling", heartbeat: 1234, at: Date.now() }));
  const socket = await connected(t, url, { remember: true });
  assert.deepEqual(socket.io.transports.map((a) => a.name), ["polling"]);
});

test("does without a storage that is closed or holds nonsense", async (t) => {
  const { url } = await stock(t);
  stored.set(`sockeye:${url}/socket.io/`, "{nonsense");
  const { getItem, setItem } = sessionStorage;
  t.after(() => Object.assign(sessionStorage, { getItem, setItem }));
  sessionStorage.setItem = () => {
    throw new Error("closed");
  };
  const network = await proxy(t, url, { upgrade: 403 });
  for (const address of [url, network.url]) await connected(t, address, { remember: true });
});

if (kinds.includes("sockeye")) {
  /** As much of the browser's EventSource as is needed, over fetch. */
  globalThis.EventSource = class extends EventTarget {
    #aborter = new AbortController();

    constructor(url) {
      super();
      this.#run(url).catch(() => {}).then(() => this.onerror?.());
    }

    close() {
      this.#aborter.abort();
    }

    async #run(url) {
      const response = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: this.#aborter.signal });
      assert.match(response.headers.get("content-type"), /^text\/event-stream/);
      this.onopen();
      let rest = "";
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + chunk).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const lines = part.split("\n");
          const data = lines.filter((l) => l.startsWith("data:")).map((l) => l.slice(l[5] === " " ? 6 : 5)).join("\n");
          if (lines.includes("event: e")) this.dispatchEvent(Object.assign(new Event("e"), { data }));
          else this.onmessage({ data });
        }
      }
    }
  };

  for (const eventSource of [true, false]) {
    test(`streams ${eventSource ? "events" : "records"} through responses that end`, async (t) => {
      const { url } = await program(t, "sockeye", { rotate: 2000 });
      const socket = await connected(t, url, { transports: ["streaming"], eventSource });
      const got = [];
      socket.on("n", (n) => got.push(n));
      socket.emit("burst", 1000);
      await new Promise((resolve) => socket.on("n", (n) => n === 999 && resolve()));
      assert.deepEqual(got, Array.from({ length: 1000 }, (_, i) => i));
      for (const text of ["a\r\nb\n\nc\0 100%25 \u2028", "ü".repeat(3000)]) {
        assert.equal(await socket.emitWithAck("echo", text), text);
      }
      assert.deepEqual([...new Uint8Array(await socket.emitWithAck("echo", new Uint8Array([1, 0, 255])))], [1, 0, 255]);
      assert.equal(socket.io.transports.length, 1);
    });
  }

  test("falls from a stream that is not answered with one", async (t) => {
    const { url } = await program(t, "stock");
    const socket = await connected(t, url, { transports: ["streaming", "polling"], eventSource: true });
    assert.equal(socket.io.transport, "polling");
  });
}

test("leaves nothing behind", async (t) => {
  const { url } = await stock(t);
  const added = new Map();
  const { addEventListener: add, removeEventListener: remove } = globalThis;
  t.after(() => Object.assign(globalThis, { addEventListener: add, removeEventListener: remove }));
  globalThis.addEventListener = (name, f) => (added.set(f, name), add(name, f));
  globalThis.removeEventListener = (name, f) => (added.delete(f), remove(name, f));
  const socket = io(url.replace("127.0.0.1", "0.0.0.0"), { forceNew: true });
  await next(socket, "connect");
  assert.deepEqual([...added.values()], ["pagehide", "offline"]);
  socket.disconnect();
  if (socket.io.engine.readyState !== "closed") await next(socket.io.engine, "close");
  assert.equal(added.size, 0);
});
