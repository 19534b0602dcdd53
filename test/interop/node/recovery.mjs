// Cases of connection state recovery for the stock socket.io-client (4.6 and newer), against the application with
// recovery on. The server adds an offset to the arguments of every event then, so listeners look at the first only.
import { Skipped, ask, config, connected, equal, next, run, settled, test, until, within } from "./lib.mjs";

const bytes = (...b) => Buffer.from(b);

await run({
  async "recovers its state and what it missed"(c) {
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    await settled(socket);
    equal(socket.recovered, false);
    const id = socket.id;
    await ask(socket, "join", "kept");
    const said = [];
    socket.on("said", (v) => said.push(v));
    socket.emit("say", "kept", 0);
    await until(() => said.length === 1, "the first event");
    await missed(socket, admin, "kept", [1, 2, bytes(3), 4]);
    equal(socket.recovered, true);
    equal(socket.id, id);
    await until(() => said.length >= 5, "what was missed");
    equal(await ask(socket, "rooms"), ["kept"]);
    await ask(admin, "tell", "kept", 5);
    await until(() => said.includes(5), "an event after the recovery");
    equal(said, [0, 1, 2, bytes(3), 4, 5]);
    // And once more, on the connection that was recovered.
    await settled(socket);
    await missed(socket, admin, "kept", [6]);
    equal([socket.recovered, socket.id], [true, id]);
    await until(() => said.length >= 7, "what was missed the second time");
    equal(said.slice(6), [6]);
  },

  async "recovers before the first event"(c) {
    if (config.reference) throw new Skipped("the Node server can't recover a session that received no event");
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    const id = socket.id;
    await ask(socket, "join", "early");
    const said = [];
    socket.on("said", (v) => said.push(v));
    await missed(socket, admin, "early", ["a", "b"]);
    equal([socket.recovered, socket.id], [true, id]);
    await until(() => said.length >= 2, "what was missed");
    equal(said, ["a", "b"]);
  },

  async "recovers after a volatile event"(c) {
    if (config.reference) throw new Skipped("the Node server can't recover after a volatile event");
    const [socket, admin] = await Promise.all([connected(c), connected(c, "/admin", { direct: true })]);
    await settled(socket);
    const id = socket.id;
    await ask(socket, "join", "vol");
    const said = [];
    socket.on("said", (v) => said.push(v));
    // A volatile event may be dropped: ask until one has come.
    let ticks = 0;
    socket.on("tick", () => ticks++);
    while (ticks === 0) {
      socket.emit("ticks", 1);
      await next(socket, "ticks-end");
    }
    await missed(socket, admin, "vol", ["x"]);
    equal([socket.recovered, socket.id], [true, id]);
    await until(() => said.length >= 1, "what was missed");
    equal(said, ["x"]);
  },
});

// missed cuts the client off, has the server send values to the room meanwhile, and waits until the client is back.
async function missed(socket, admin, room, values) {
  const gone = next(socket, "disconnect");
  const back = gone.then(() => next(socket, "connect"));
  const lost = ask(admin, "reason", socket.id);
  await test("down");
  await gone;
  await within(lost, "the server to notice");
  for (const v of values) await ask(admin, "tell", room, v);
  await test("up");
  await back;
}
