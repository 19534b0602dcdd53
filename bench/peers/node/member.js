"use strict";

// One of several published Node servers that act as one, with the application of server.js: see ../../README.md.
const { createServer } = require("http");
const { Server } = require("socket.io");
const { createClient } = require("redis");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const serve = require("./app.js");

async function main() {
  const url = "redis://" + process.env.BROKER;
  const pub = createClient({ url });
  const sub = createClient({ url });
  await Promise.all([pub.connect(), sub.connect()]);
  const create = process.env.ADAPTER === "redis-sharded" ? createShardedAdapter : createAdapter;
  const http = createServer();
  serve(new Server(http, { pingInterval: 60000, pingTimeout: 60000, adapter: create(pub, sub) }));
  http.listen(process.env.PORT, "127.0.0.1");
}

main();
