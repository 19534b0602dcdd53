// The published Node server, with the behaviour that the tests expect. Prints its URL and runs until it is killed.
// Options: -interval and -timeout of the heartbeat in ms, -transports separated by commas, -payload in bytes,
// -port to listen on.

import { createServer } from "node:http";
import { Server } from "socket.io";

const options = Object.fromEntries(process.argv.slice(2).map((arg) => arg.slice(1).split("=")));
const http = createServer();
const io = new Server(http, {
  pingInterval: +options.interval || 25000,
  pingTimeout: +options.timeout || 20000,
  maxHttpBufferSize: +options.payload || 1e6,
  transports: options.transports?.split(",") ?? ["polling", "websocket"],
  connectionStateRecovery: {},
});

io.on("connection", (socket) => {
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("back", (...args) => socket.emit("back", ...args));
  socket.on("burst", (n) => {
    for (let i = 0; i < n; i++) socket.emit("n", i);
  });
  socket.on("handshake", (ack) => ack(socket.handshake.query, socket.handshake.headers, socket.handshake.auth));
  socket.on("leave", () => socket.disconnect());
  socket.on("cut", () => socket.conn.close());
  socket.on("ask", (ack) => socket.emit("question", "?", (answer) => ack(answer)));
  socket.on("silent", () => {});
});
io.of("/other").on("connection", (socket) => {
  socket.on("echo", (...args) => args.pop()(...args));
});
io.of("/guarded")
  .use((socket, next) =>
    socket.handshake.auth.token === "let me in"
      ? next()
      : next(Object.assign(new Error("not you"), { data: { code: 7 } })),
  )
  .on("connection", (socket) => socket.emit("welcome"));

http.listen(+options.port || 0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
