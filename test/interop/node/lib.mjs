// What the driver scripts share: the configuration from the test, the conversation with it, and waiting.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { isDeepStrictEqual, inspect } from "node:util";

export const config = JSON.parse(process.env.DRIVER_CONFIG);
export const require = createRequire(config.npm + "/");

const answers = createInterface({ input: process.stdin });
const waiting = [];
answers.on("line", (line) => {
  const { resolve, reject } = waiting.shift();
  const { value, error } = JSON.parse(line);
  error ? reject(new Error(error)) : resolve(value);
});

function print(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

// test asks the Go side to do something (restart the server, cut the connections, …) and waits until it is done.
export function test(what, args) {
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    print({ do: what, args });
  });
}

// within fails when the promise has not settled in good time; the limit ends a hang, it measures nothing.
export function within(promise, what, ms = 20000) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

export class Skipped extends Error {}

// run runs the cases one after the other. A case gets an object whose `after` takes what must be closed at its end.
export async function run(cases) {
  for (const [name, fn] of Object.entries(cases)) {
    const cleanups = [];
    const line = { case: name };
    try {
      await within(fn({ after: (f) => cleanups.push(f) }), name, 40000);
    } catch (err) {
      if (err instanceof Skipped) line.skip = err.message;
      else line.error = err.stack || String(err);
    }
    for (const f of cleanups.reverse()) f();
    print(line);
  }
  process.exit(0);
}

export function equal(got, want, what = "value") {
  if (!isDeepStrictEqual(got, want)) {
    const show = (v) => inspect(v, { depth: 6, breakLength: Infinity }).slice(0, 600);
    throw new Error(`${what}: got ${show(got)}, want ${show(want)}`);
  }
}

export function check(ok, what) {
  if (!ok) throw new Error(what);
}

// next resolves with the arguments of the emitter's next such event.
export function next(emitter, event, what = `event ${event}`) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), what);
}

// until resolves once ok() is true, looking again each time the loop has been idle for a moment.
export function until(ok, what) {
  let timer;
  const wait = new Promise((resolve) => {
    timer = setInterval(() => ok() && resolve(), 5);
  });
  return within(ok() ? Promise.resolve() : wait, what).finally(() => clearInterval(timer));
}

// collect keeps the arguments of every such event.
export function collect(emitter, event) {
  const seen = [];
  emitter.on(event, (...args) => seen.push(args.length === 1 ? args[0] : args));
  return seen;
}

// ask emits and resolves with the arguments of the acknowledgement.
export function ask(socket, event, ...args) {
  return within(
    new Promise((resolve) => socket.emit(event, ...args, (...reply) => resolve(reply.length > 1 ? reply : reply[0]))),
    `acknowledgement of ${event}`,
  );
}

// open makes a socket of the stock client for one case, connected settles for nothing less than connected, and settled
// waits until the connection is on the transport it must end on.
const { io } = require(config.client);
// The codec of packets, if it is not the one that the client brings.
export const parser = config.parser ? require(config.parser) : undefined;

export function open(c, path = "", options = {}) {
  const socket = io((options.direct ? config.direct : config.url) + path, {
    transports: config.transports,
    parser,
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    ...options,
  });
  c.after(() => {
    socket.disconnect();
    socket.io.engine?.close();
  });
  return socket;
}

export async function connected(c, path, options) {
  const socket = open(c, path, options);
  await next(socket, "connect");
  return socket;
}

export async function settled(socket) {
  await until(() => socket.io.engine.transport.name === config.final, `transport ${config.final}`);
  return socket;
}

// cut has the proxy reset the connections until the socket has lost its own, and resolves with the reason. A polling
// client may be between two requests at the moment of a reset, with nothing to lose.
export async function cut(socket) {
  let reason;
  socket.once("disconnect", (r) => (reason = r));
  await test("cut");
  let asked = Date.now();
  await until(() => {
    if (!reason && Date.now() - asked > 100) {
      asked = Date.now();
      test("cut");
    }
    return reason;
  }, "the connection to be lost");
  return reason;
}
