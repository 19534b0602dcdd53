"use strict";

// The application of the benchmark's servers: see ../../README.md.
module.exports = function serve(io) {
  io.on("connection", (socket) => {
    socket.on("echo", (a, ack) => ack(a));
    socket.on("join", async (room, ack) => {
      await socket.join(room);
      ack();
    });
    socket.on("bcast", (a) => io.emit("msg", a));
    socket.on("rcast", (room, a) => io.to(room).emit("msg", a));
  });

  // The memory of a server is read after a collection, in every server alike. Needs --expose-gc.
  process.on("SIGUSR2", () => global.gc && global.gc());
};
