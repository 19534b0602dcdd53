"use strict";

// The published Node server with the benchmark's contract: see ../../README.md.
const { createServer } = require("http");
const { Server } = require("socket.io");
const serve = require("./app.js");

const http = createServer();
serve(new Server(http, { pingInterval: 60000, pingTimeout: 60000 }));
http.listen(process.env.PORT, "127.0.0.1");
