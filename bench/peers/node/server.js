"use strict";

// The published Node server with the benchmark's contract: see ../../README.md.
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { pingInterval: 60000, pingTimeout: 60000 });

io.on("connection", (socket) => {
  socket.on("echo", (a, ack) => ack(a));
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("bcast", (a) => io.emit("msg", a));
  socket.on("rcast", (room, a) => io.to(room).emit("msg", a));
});

// The memory of a server is read after a collection, in every server alike. Needs --expose-gc.
process.on("SIGUSR2", () => global.gc && global.gc());

http.listen(process.env.PORT, "127.0.0.1");
