// Two visitors of the chat with the client from npm: node stock-chat.cjs URL TRANSPORTS
const assert = require("node:assert");
const { io } = require("socket.io-client");

const [url, transports] = process.argv.slice(2);
const open = (name) => io(`${url}/chat`, { auth: { name }, transports: transports.split(","), forceNew: true });
const next = (socket, event, wanted = () => true) =>
  new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`no ${event}`)), 10_000);
    socket.on(event, function listen(value) {
      if (!wanted(value)) return;
      socket.off(event, listen);
      clearTimeout(timer);
      done(value);
    });
  });

(async () => {
  const ada = open("Ada");
  const welcome = await next(ada, "welcome");
  assert.match(welcome.name, /^Ada/);
  assert.equal(welcome.id, ada.id);
  const room = `stock-${transports.replace(",", "-")}`;
  assert.deepEqual(await ada.emitWithAck("join", { room }), { room, members: [{ id: ada.id, name: welcome.name }], history: [] });
  const first = await ada.emitWithAck("say", { room, text: "first" });
  assert.equal(first.id, 1);

  const bob = open("Bob");
  await next(bob, "welcome");
  const joined = next(ada, "joined");
  const reply = await bob.emitWithAck("join", { room });
  assert.deepEqual(reply.history.map((m) => m.text), ["first"]);
  assert.equal((await joined).user.id, bob.id);

  const typing = next(bob, "typing");
  ada.emit("typing", { room, on: true });
  assert.equal((await typing).on, true);

  const heard = next(bob, "message");
  await ada.emitWithAck("say", { room, text: "second" });
  assert.equal((await heard).text, "second");

  const refused = await ada.emitWithAck("say", { room: "elsewhere", text: "x" });
  assert.equal(refused.error.code, "not_in_room");
  const changed = next(bob, "changed");
  const renamed = await ada.emitWithAck("rename", { name: `Ada L. ${room}` });
  assert.equal((await changed).user.name, renamed.name);

  const left = next(bob, "left", (p) => p.user.id === renamed.id);
  ada.disconnect();
  await left;
  bob.disconnect();
  console.log("ok");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
