"use strict";

// The published Node client with the benchmark's contract for clients: see ../../README.md.
const { createInterface } = require("readline");
const { io } = require("socket.io-client");

const env = (name, otherwise) => Number(process.env[name] || otherwise);
const url = "http://" + process.env.ADDR;
const payload = "x".repeat(64);
let sockets = [];
let ops = 0;

function die(err) {
  console.error(err);
  process.exit(1);
}

function dial() {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  socket.on("connect_error", die);
  return new Promise((resolve) => socket.on("connect", () => resolve(socket)));
}

async function connect(n) {
  const dialed = [];
  let next = 0;
  const worker = async () => {
    while (next < n) {
      next++;
      dialed.push(await dial());
    }
  };
  await Promise.all(Array.from({ length: env("PARALLEL", 32) }, worker));
  return dialed;
}

function echo(socket) {
  socket.emit("echo", payload, (got) => {
    if (got !== payload) die(new Error(`the echo is ${got}`));
    ops++;
    echo(socket);
  });
}

// The memory of a client is read after a collection, in every client alike. Needs --expose-gc.
process.on("SIGUSR2", () => global.gc && global.gc());

const commands = {
  async connect() {
    sockets = await connect(env("CLIENTS", 100));
    console.log(sockets.length);
  },
  echo() {
    for (const socket of sockets) for (let i = 0; i < env("INFLIGHT", 1); i++) echo(socket);
    console.log("echoing");
  },
  count() {
    console.log(ops);
  },
};

connect(env("WARM", 200)).then((warm) => {
  for (const socket of warm) socket.disconnect();
  console.log("warm");
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => commands[line]());
  lines.on("close", () => process.exit(0));
}, die);
