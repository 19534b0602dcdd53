// The two servers of package suite on the Node implementation, against which the conformance tests are proven.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.env.NPM_ROOT + "/");
const options = JSON.parse(process.argv[2]);
const http = createServer();
const { pingInterval, pingTimeout, connectTimeout } = options;
const common = { pingInterval, pingTimeout, maxHttpBufferSize: 1e6, cors: { origin: "*" } };

if (options.suite === "eio4") {
  const engine = require("engine.io").attach(http, common);
  engine.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
} else {
  const io = new (require("socket.io").Server)(http, { ...common, connectTimeout });
  for (const name of ["/", "/custom"]) {
    io.of(name).on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
      if (name !== "/") return;
      socket.on("message", (...args) => socket.emit("message-back", ...args));
      socket.on("message-with-ack", (...args) => args.pop()(...args));
    });
  }
}

http.listen(options.port, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
