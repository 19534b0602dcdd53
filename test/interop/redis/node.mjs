// A Node server of a cluster. Options arrive as JSON in argv[2]; the port is printed once it listens. What it is to do
// comes by POST /do, as JSON {op, nsp, rooms, except, volatile, timeout, event, args, …}.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.env.NPM_ROOT + "/");
const { Server } = require("socket.io");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { Emitter } = require("@socket.io/redis-emitter");
const options = JSON.parse(process.argv[2]);

async function connect() {
  if (options.library === "ioredis") {
    const Redis = require("ioredis");
    return new Redis({ path: options.redis });
  }
  const client = require("redis").createClient({ socket: { path: options.redis } });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const [pub, sub] = [await connect(), await connect()];
const adapter = options.sharded
  ? createShardedAdapter(pub, sub, { subscriptionMode: options.mode })
  : createAdapter(pub, sub, { publishOnSpecificResponseChannel: options.specific });

const http = createServer(async (req, res) => {
  let body = "";
  for await (const chunk of req) body += chunk;
  let reply;
  try {
    reply = { value: (await perform(JSON.parse(body))) ?? null };
  } catch (e) {
    reply = { error: e.message };
  }
  res.end(JSON.stringify(reply));
});
const io = new Server({ adapter, serveClient: false });
io.attach(http);

const heard = [];
function setUp(nsp) {
  nsp.on("connection", (socket) => {
    socket.data.node = options.name;
    socket.join(options.rooms ?? []);
  });
  nsp.on("told", (...args) => {
    const ack = args.at(-1);
    if (typeof ack === "function") {
      args.pop();
      ack(options.name);
    }
    heard.push(args);
  });
}
setUp(io.of("/"));
setUp(io.of(/^\/dyn-\d+$/));

// Binary stands in JSON as {"$b64": …}.
function revive(v) {
  if (Array.isArray(v)) return v.map(revive);
  if (v && typeof v === "object") {
    if (typeof v.$b64 === "string") return Buffer.from(v.$b64, "base64");
    return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, revive(x)]));
  }
  return v;
}

async function perform(o) {
  const nsp = o.op.startsWith("emitter-") ? new Emitter(pub, {}, o.nsp ?? "/") : io.of(o.nsp ?? "/");
  let b = o.rooms?.length ? nsp.to(o.rooms) : nsp.except([]);
  if (o.except?.length) b = b.except(o.except);
  if (o.volatile) b = b.volatile;
  if (o.timeout) b = b.timeout(o.timeout);
  const args = revive(o.args ?? []);
  switch (o.op.replace("emitter-", "")) {
    case "emit":
      b.emit(o.event, ...args);
      return;
    case "ack":
      return new Promise((done) => {
        b.emit(o.event, ...args, (err, replies) => done({ error: err && err.message, replies }));
      });
    case "fetch":
      return (await b.fetchSockets()).map((s) => ({
        id: s.id, rooms: [...s.rooms].sort(), data: s.data,
        url: s.handshake.url, headers: Object.keys(s.handshake.headers).length, secure: s.handshake.secure,
      }));
    case "join":
      b.socketsJoin(args);
      return;
    case "leave":
      b.socketsLeave(args);
      return;
    case "disconnect":
      b.disconnectSockets(!!o.close);
      return;
    case "tell":
      nsp.serverSideEmit("told", ...args);
      return;
    case "tellack":
      return await nsp.serverSideEmitWithAck("told", ...args);
    case "heard":
      return heard.splice(0);
    case "servers":
      return await nsp.adapter.serverCount();
    case "allrooms":
      return [...(await nsp.adapter.allRooms())].sort();
    case "sockets":
      return [...(await nsp.adapter.sockets(new Set(o.rooms)))].sort();
  }
  throw new Error("unknown operation " + o.op);
}

http.listen(options.port, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit()).resume();
