// Networks that make it hard. Each must end in a connection that works.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { connected, kinds, listen, next, open, program, proxy, share } from "./support.js";

const shared = await share();

const names = (socket, phase = "connect") => socket.io.transports.filter((a) => a.phase === phase).map((a) => a.name);
const upgrades = (socket) => socket.io.transports.filter((a) => a.phase === "upgrade").length;

for (const kind of kinds) {
  describe(kind, () => {
    for (const upgrade of [400, 403, "strip", "hang", "mute"]) {
      test(`a proxy that answers Upgrade with ${upgrade}`, async (t) => {
        const { url } = await program(t, kind, { interval: 200 });
        const network = await proxy(t, url, { upgrade });
        const socket = await connected(t, network.url, { attemptTimeout: 500 });
        assert.equal(socket.io.transport, "polling");
        assert.deepEqual(await socket.emitWithAck("echo", new Uint8Array([1])).then((b) => b.byteLength), 1);
        const [failed, worked] = socket.io.transports;
        assert.equal(failed.name, "websocket");
        assert.equal(failed.ok, false);
        assert.ok(failed.reason);
        assert.ok(worked.ok);
        // It does not go on knocking at that door.
        for (let i = 0; i < 4; i++) await next(socket.io, "ping");
        assert.equal(network.upgrades, 1);
        assert.equal(upgrades(socket), 0);
      });
    }

    test("what worked comes first the next time, and an order that is given stays as it is", async (t) => {
      const { url } = shared[kind];
      const network = await proxy(t, url, { upgrade: 403 });
      const first = await connected(t, network.url, { remember: true });
      first.disconnect();
      const second = await connected(t, network.url, { remember: true });
      assert.deepEqual(names(second), ["polling"]);
      const third = await connected(t, network.url, { remember: true, transports: ["websocket", "polling"] });
      assert.deepEqual(names(third), ["websocket", "polling"]);
      assert.equal(network.upgrades, 2);
    });

    test("an upgrade that is refused leaves polling as it is", async (t) => {
      for (const upgrade of [403, "hang", "mute"]) {
        const { url } = await program(t, kind, { interval: 200 });
        const network = await proxy(t, url, { upgrade });
        const socket = await connected(t, network.url, { transports: ["polling", "websocket"], attemptTimeout: 300 });
        while (!upgrades(socket)) await new Promise((resolve) => socket.io.onTransport(resolve));
        assert.equal(socket.io.transports.at(-1).ok, false);
        for (let i = 0; i < 3; i++) await next(socket.io, "ping");
        assert.equal(await socket.emitWithAck("echo", 1), 1);
        assert.equal(network.upgrades, 1);
        assert.equal(socket.io.transport, "polling");
      }
    });

    test("a proxy that cuts silent connections", async (t) => {
      const { url } = await program(t, kind, { interval: 20000 });
      const network = await proxy(t, url, { idle: 1500 });
      const socket = await connected(t, network.url, { transports: ["websocket"] });
      for (let i = 0; i < 2; i++) await next(socket, "connect");
      const { cuts } = network;
      assert.equal(cuts, 2);
      let lost = 0;
      socket.on("disconnect", () => lost++);
      // Signs of life, as many as together take longer than the proxy stands silence: pings that a server agreed to
      // send, or empty packets of the client's own.
      await new Promise((resolve) => {
        let signs = 0;
        const sign = () => ++signs === 5 && resolve();
        socket.io.on("ping", sign);
        socket.io.engine.on("packetCreate", (packet) => packet.type === "noop" && sign());
      });
      assert.equal(lost, 0);
      assert.equal(network.cuts, cuts);
      assert.match(network.requests.at(-1), /heartbeat=\d+/);
      assert.equal(await socket.emitWithAck("echo", 1), 1);
    });
  });
}

if (kinds.includes("sockeye")) {
  describe("sockeye, over streaming", () => {
    test("a proxy that buffers responses", async (t) => {
      const { url } = await program(t, "sockeye", { interval: 300 });
      const network = await proxy(t, url, { buffer: true, upgrade: 403 });
      const socket = await connected(t, network.url, {
        transports: ["websocket", "streaming", "polling"],
        attemptTimeout: 400,
      });
      assert.deepEqual(names(socket), ["websocket", "streaming", "polling"]);
      assert.match(socket.io.transports[1].reason, /no answer/);
      assert.equal(await socket.emitWithAck("echo", 1), 1);
    });

    test("an upgrade to a stream that is buffered leaves polling as it is", async (t) => {
      const { url } = await program(t, "sockeye", { interval: 300 });
      const network = await proxy(t, url, { buffer: true });
      const socket = await connected(t, network.url, { transports: ["polling", "streaming"], attemptTimeout: 300 });
      while (!upgrades(socket)) await new Promise((resolve) => socket.io.onTransport(resolve));
      assert.equal(socket.io.transports.at(-1).ok, false);
      assert.equal(await socket.emitWithAck("echo", 1), 1);
    });

    for (const transports of [["polling"], ["streaming"]]) {
      test(`a proxy that cuts silent connections, over ${transports}`, async (t) => {
        const { url } = await program(t, "sockeye", { interval: 20000 });
        const network = await proxy(t, url, { idle: 2500 });
        const socket = await connected(t, network.url, { transports });
        for (let i = 0; i < 2; i++) await next(socket, "connect");
        let lost = 0;
        socket.on("disconnect", () => lost++);
        for (let i = 0; i < 4; i++) await next(socket.io, "ping");
        assert.equal(lost, 0);
      });
    }
  });
}

test("something that is no Socket.IO server", async (t) => {
  const url = await listen(
    t,
    createServer((req, res) => res.writeHead(200, { "Content-Type": "text/html" }).end("<h1>Please log in</h1>")),
  );
  const socket = open(t, url, { reconnection: false });
  const [err] = await next(socket, "connect_error");
  assert.deepEqual(err.attempts.map((a) => [a.name, a.ok]), [
    ["websocket", false],
    ["polling", false],
    ["streaming", false],
  ]);
  for (const { reason } of err.attempts) assert.ok(err.message.includes(reason));
});

test("a server that refuses everyone says why", async (t) => {
  const url = await listen(
    t,
    createServer((req, res) =>
      res.writeHead(403, { "Content-Type": "application/json" }).end('{"code":4,"message":"not on our list"}'),
    ),
  );
  const socket = open(t, url, { transports: ["polling"], reconnection: false });
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "polling: HTTP 403 not on our list");
  assert.equal(err.description, 403);
});

test("a connection that takes too long altogether", async (t) => {
  const url = await listen(t, createServer(() => {}));
  const socket = open(t, url, { transports: ["polling"], timeout: 50, reconnection: false });
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "timeout");
  assert.deepEqual(
    socket.io.transports.map(({ name, ok, reason }) => [name, ok, reason]),
    [["polling", false, "forced close"]],
  );
});
