// The application of app.go on the Node server: its current version, against which the drivers are proven (run the
// tests with SOCKEYE_INTEROP_SERVER=node), or an older one, named by the option package. Options arrive as JSON in
// argv[2]; the port is printed once the server listens.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.env.NPM_ROOT + "/");
const options = JSON.parse(process.argv[2]);
const name = options.package || "socket.io";
// Version 2 exports the class itself. Version 3 can't answer askall and except.
const { Server = require(name) } = require(name);

const http = createServer();
// Node closes what is idle for five seconds, and with it what a client has just sent there if it is slow to read.
http.keepAliveTimeout = 600_000;
const given = {
  serveClient: false,
  pingInterval: options.pingInterval,
  pingTimeout: options.pingTimeout,
  maxHttpBufferSize: options.maxPayload,
  transports: options.transports,
  parser: options.msgpack ? require("socket.io-msgpack-parser") : undefined,
  connectionStateRecovery: options.recovery ? {} : undefined,
};
// An option that is present but undefined would override the default.
const io = new Server(http, Object.fromEntries(Object.entries(given).filter(([, v]) => v)));

const reasons = new Map(); // socket id → reason, or the acks that wait for it

function wire(socket) {
  const nsp = socket.nsp;
  // A recovered socket has the id of the one before it, whose end is history.
  if (typeof reasons.get(socket.id) === "string") reasons.delete(socket.id);
  socket.on("echo", (...args) => {
    const ack = args.at(-1);
    if (typeof ack === "function") ack(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
  socket.on("ask", (value) => socket.emit("question", value, (reply) => socket.emit("answered", reply)));
  socket.on("askall", async (value, ack) => {
    const replies = await nsp.timeout(5000).emitWithAck("question", value);
    ack(replies.sort());
  });
  socket.on("join", async (room, ack) => {
    await socket.join(room);
    ack();
  });
  socket.on("leave", async (room, ack) => {
    await socket.leave(room);
    ack();
  });
  socket.on("rooms", (ack) => ack([...socket.rooms].filter((r) => r !== socket.id).sort()));
  socket.on("say", (room, ...args) => nsp.to(room).emit("said", ...args));
  socket.on("others", (...args) => socket.broadcast.emit("others", ...args));
  socket.on("except", (room, ...args) => nsp.except(room).emit("excepted", ...args));
  socket.on("everyone", (...args) => nsp.emit("everyone", ...args));
  socket.on("burst", (n) => {
    for (let i = 0; i < n; i++) socket.emit("item", i);
    socket.emit("burst-end", n);
  });
  socket.on("ticks", (n) => {
    for (let i = 0; i < n; i++) socket.volatile.emit("tick", i);
    socket.emit("ticks-end", n);
  });
  socket.on("blob", (n, ack) => ack(Buffer.from(Array.from({ length: n }, (_, i) => i % 251))));
  socket.on("size", (v, ack) => ack(v.length));
  socket.on("kick", (close) => socket.disconnect(close));
  socket.on("whoami", (ack) =>
    ack({ id: socket.id, auth: socket.handshake.auth, transport: socket.conn.transport.name, recovered: socket.recovered }),
  );
  socket.on("disconnect", (reason) => {
    const waiting = reasons.get(socket.id);
    reasons.set(socket.id, reason);
    if (Array.isArray(waiting)) for (const ack of waiting) ack(reason);
  });
}

io.on("connection", wire);
io.of("/chat").on("connection", wire);
io.of(/^\/dyn-\d+$/).on("connection", wire);
io.of("/auth")
  .use((socket, next) => {
    if (socket.handshake.auth.token === "secret") return next();
    const err = new Error("not authorised");
    err.data = { code: 401, hint: "send a token" };
    next(err);
  })
  .on("connection", wire);
io.of("/admin").on("connection", (socket) => {
  socket.on("reason", (id, ack) => {
    const known = reasons.get(id);
    if (typeof known === "string") return ack(known);
    reasons.set(id, [...(known || []), ack]);
  });
  socket.on("tell", (room, value, ack) => {
    io.to(room).emit("said", value);
    ack();
  });
});

http.listen(options.port || 0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
