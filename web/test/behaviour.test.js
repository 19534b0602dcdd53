// The behaviour that the client has with every server and over every transport.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attempt, connected, io, kinds, Manager, next, open, program, share } from "./support.js";

const shared = await share();

const bytes = (...values) => Uint8Array.from(values);
const plain = (value) => [...new Uint8Array(value)];

for (const kind of kinds) {
  describe(kind, async () => {
    const ways = [["websocket"], ["polling"], ["polling", "websocket"]];
    if (kind === "sockeye") ways.push(["streaming"], ["polling", "streaming"], ["streaming", "websocket"]);

    for (const transports of ways) {
      describe(transports.join(" then "), () => {
        const opts = { transports };

        test("echoes what JSON can say, and text of all kinds", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          for (const value of [0, -1.5, "", "ünïcödé 🦊 \u2028 \x1e \r\n % \0", null, true, [], {}, { a: [{ b: 1 }] }]) {
            assert.deepEqual(await socket.emitWithAck("echo", value), value);
          }
          await new Promise((resolve) => {
            socket.emit("echo", 1, "two", [3], (...args) => {
              assert.deepEqual(args, [1, "two", [3]]);
              resolve();
            });
          });
        });

        test("carries binary at any depth, in all its types", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          const sent = {
            buffer: bytes(1, 2, 3).buffer,
            view: [bytes(0, 255, 4, 5).subarray(1, 3)],
            words: new Uint16Array([0x0201]),
            deep: { er: { blob: new Blob([bytes(6, 7)]) } },
            empty: new ArrayBuffer(0),
          };
          const got = await socket.emitWithAck("echo", sent);
          assert.ok(got.buffer instanceof ArrayBuffer);
          assert.deepEqual(plain(got.buffer), [1, 2, 3]);
          assert.deepEqual(plain(got.view[0]), [255, 4]);
          assert.deepEqual(plain(got.words), [1, 2]);
          assert.deepEqual(plain(got.deep.er.blob), [6, 7]);
          assert.deepEqual(plain(got.empty), []);
          socket.emit("back", bytes(9));
          assert.deepEqual(plain((await next(socket, "back"))[0]), [9]);
        });

        test("keeps the order in both directions, across the upgrade", async (t) => {
          const { url } = shared[kind];
          const socket = open(t, url, opts);
          const got = [];
          let checked;
          const done = new Promise((resolve) => (checked = resolve));
          socket.on("back", (i) => got.push(i) === 300 && checked());
          for (let i = 0; i < 100; i++) socket.emit("back", i);
          const upgrade = transports[1] && attempt(socket.io, (a) => a.phase === "upgrade");
          await next(socket, "connect");
          for (let i = 100; i < 200; i++) socket.emit("back", i);
          if (upgrade) assert.ok((await upgrade).ok);
          for (let i = 200; i < 300; i++) socket.emit("back", i);
          await done;
          assert.deepEqual(got, Array.from({ length: 300 }, (_, i) => i));
          assert.equal(socket.io.transport, transports.at(-1));
        });

        test("reads a burst", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          const got = [];
          socket.on("n", (i) => got.push(i));
          socket.emit("burst", 500);
          await new Promise((resolve) => socket.on("n", (i) => i === 499 && resolve()));
          assert.deepEqual(got, Array.from({ length: 500 }, (_, i) => i));
        });

        test("sends a message that fills several requests", async (t) => {
          const { url } = await program(t, kind, { payload: 20000 });
          const socket = await connected(t, url, opts);
          const parts = await Promise.all(
            Array.from({ length: 20 }, (_, i) => socket.emitWithAck("echo", String(i).padStart(6000, "é"))),
          );
          assert.deepEqual(parts.map((part) => +part.replaceAll("é", "")), Array.from({ length: 20 }, (_, i) => i));
        });

        test("answers questions of the server", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          socket.on("question", (what, ack) => {
            ack(what + "!");
            ack("never twice");
          });
          assert.equal(await socket.emitWithAck("ask"), "?!");
        });

        test("says goodbye: the server learns of a disconnect at once, the reason is ours", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          const gone = next(socket, "disconnect");
          const closed = attempt(socket.io, (a) => a.phase === "close");
          socket.disconnect();
          assert.deepEqual(await gone, ["io client disconnect", undefined]);
          assert.equal((await closed).reason, "forced close");
          assert.equal(socket.active, false);
          assert.equal(socket.id, undefined);
          socket.connect();
          await next(socket, "connect");
        });

        test("comes back after the server cut the connection, and is recovered", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          const { id } = socket;
          // The first event brings an offset, without which the published server recovers nothing.
          socket.emit("back", "first");
          await next(socket, "back");
          const gone = next(socket, "disconnect");
          const back = next(socket, "connect");
          socket.emit("cut");
          const [reason] = await gone;
          assert.match(reason, /^transport (close|error)$/);
          await back;
          assert.equal(socket.recovered, true);
          assert.equal(socket.id, id);
          assert.equal(await socket.emitWithAck("echo", 1), 1);
        });

        test("stays away when the server sent it away", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url, opts);
          const gone = next(socket, "disconnect");
          socket.emit("leave");
          assert.deepEqual(await gone, ["io server disconnect", undefined]);
          assert.equal(socket.active, false);
        });

        test("lives longer than a heartbeat, and sees one", async (t) => {
          const { url } = await program(t, kind, { interval: 150, timeout: 500 });
          const socket = await connected(t, url, opts);
          let lost = false;
          socket.on("disconnect", () => (lost = true));
          for (let i = 0; i < 6; i++) await next(socket.io, "ping");
          assert.equal(lost, false);
        });

        test("sends query and, where it can, headers", async (t) => {
          const { url } = shared[kind];
          const socket = await connected(t, url + "?a=1", { ...opts, query: { b: "ö &" }, extraHeaders: { "x-own": "yes" } });
          const [query, headers] = await new Promise((resolve) => socket.emit("handshake", (...args) => resolve(args)));
          assert.equal(query.a, "1");
          assert.equal(query.b, "ö &");
          assert.equal(query.EIO, "4");
          if (transports[0] !== "websocket") assert.equal(headers["x-own"], "yes");
        });
      });
    }

    test("shares a connection between namespaces, until told otherwise", async (t) => {
      const { url } = shared[kind];
      const first = io(url);
      const other = io(url + "/other");
      const again = io(url);
      const apart = io(url + "/other", { multiplex: false });
      t.after(() => [first, other, again, apart].forEach((socket) => socket.close()));
      assert.equal(first.io, other.io);
      assert.notEqual(first.io, again.io);
      assert.notEqual(first.io, apart.io);
      assert.equal(await other.emitWithAck("echo", "x"), "x");
      await first.emitWithAck("echo", 1);
      first.disconnect();
      assert.equal(other.io._open ?? true, true);
      assert.equal(await other.emitWithAck("echo", "still"), "still");
    });

    test("is refused with the server's words and data, and let in with the right ones", async (t) => {
      const { url } = shared[kind];
      const socket = open(t, url + "/guarded", { auth: { token: "wrong" } });
      const [err] = await next(socket, "connect_error");
      assert.equal(err.message, "not you");
      assert.deepEqual(err.data, { code: 7 });
      assert.equal(socket.active, false);
      socket.auth = (send) => setTimeout(() => send({ token: "let me in" }), 1);
      socket.connect();
      await next(socket, "welcome");
    });

    test("is told that there is no such namespace", async (t) => {
      const { url } = shared[kind];
      const socket = open(t, url + "/nowhere");
      const [err] = await next(socket, "connect_error");
      assert.equal(err.message, "Invalid namespace");
    });

    test("waits for a server that is not there yet, with the emitted events", async (t) => {
      const first = await program(t, kind);
      const { port } = new URL(first.url);
      first.child.kill("SIGKILL");
      const socket = open(t, first.url);
      const failed = next(socket.io, "reconnect_error");
      const answer = socket.emitWithAck("echo", "early");
      const [err] = await next(socket, "connect_error");
      assert.equal(err.type, "TransportError");
      assert.deepEqual(err.attempts.map((a) => a.name), ["websocket", "polling", "streaming"]);
      await failed;
      const reconnected = next(socket.io, "reconnect");
      await program(t, kind, { port });
      assert.ok((await reconnected)[0] >= 1);
      assert.equal(await answer, "early");
    });

    test("comes back over WebSocket after a restart", async (t) => {
      const first = await program(t, kind);
      const { port } = new URL(first.url);
      const socket = await connected(t, first.url, { remember: true });
      assert.equal(socket.io.transport, "websocket");
      const gone = next(socket, "disconnect");
      first.child.kill("SIGKILL");
      await gone;
      const back = next(socket, "connect");
      await program(t, kind, { port });
      await back;
      if (socket.io.transport !== "websocket") await attempt(socket.io, (a) => a.phase === "upgrade" && a.ok);
      assert.equal(socket.io.transport, "websocket");
    });

    test("makes do with what the server offers", async (t) => {
      for (const [offered, wanted] of [
        ["polling", undefined],
        ["websocket", ["polling", "websocket"]],
      ]) {
        const { url } = await program(t, kind, { transports: offered });
        const socket = await connected(t, url, { transports: wanted });
        assert.equal(socket.io.transport, offered);
        assert.equal(await socket.emitWithAck("echo", 1), 1);
        assert.equal(socket.io.transports[0].ok, false);
        assert.notEqual(socket.io.transports[0].reason, "");
      }
    });
  });
}

test("a manager can be used without io", async (t) => {
  const { url } = shared.stock;
  const manager = new Manager(url, { autoConnect: false });
  t.after(() => socket.close());
  const socket = manager.socket("/");
  assert.equal(socket.active, false);
  socket.connect();
  await next(socket, "connect");
  assert.equal(socket, manager.socket("/"));
});
