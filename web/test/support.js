// What the tests share: the client under test, servers, and the network between them.

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createTcpServer, connect as connectTcp } from "node:net";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import WebSocket, { WebSocketServer } from "ws";

globalThis.WebSocket = WebSocket;
const bundle = process.env.SOCKEYE_BUNDLE || "socket.io.esm.js";

/** The client, out of the bundle that is tested. */
export const client = await import(new URL("../dist/" + bundle, import.meta.url));
export const { io, Manager } = client;

/** Resolves with the arguments of the next such event. */
export function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
}

/** Resolves with the transport attempt that matches. */
export function attempt(manager, matches) {
  return new Promise((resolve) => {
    const stop = manager.onTransport((a) => {
      if (!matches(a)) return;
      stop();
      resolve(a);
    });
  });
}

/** Opens a socket that is closed with the test. */
export function open(t, url, opts) {
  const socket = io(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, remember: false, ...opts });
  t.after(() => socket.disconnect());
  return socket;
}

/** Opens a socket and waits until it is connected. */
export async function connected(t, url, opts) {
  const socket = open(t, url, opts);
  await next(socket, "connect");
  return socket;
}

/** Listens on a port of the system's choice; resolves with the URL. */
export async function listen(t, server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return "http://127.0.0.1:" + server.address().port;
}

/**
 * Starts a server program that prints its URL: the published one (stock-server.js) or, given by the environment
 * variable SOCKEYE_SERVER, ours. Both do the same.
 */
export async function program(t, kind, options = {}) {
  const args = Object.entries(options).map(([name, value]) => `-${name}=${value}`);
  const child =
    kind === "stock"
      ? spawn(process.execPath, [fileURLToPath(new URL("stock-server.js", import.meta.url)), ...args])
      : spawn(process.env.SOCKEYE_SERVER, args);
  child.stderr.pipe(process.stderr);
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) return { url: line, child };
  throw new Error("the server ended before it began");
}

/** The servers that the common tests run against. */
export const kinds = process.env.SOCKEYE_SERVER ? ["stock", "sockeye"] : ["stock"];

/** One program of each kind, with default options, for all tests of the file that calls this at its top. */
export async function share() {
  const servers = {};
  for (const kind of kinds) servers[kind] = await program({ after }, kind);
  return servers;
}

/**
 * A server that speaks raw Engine.IO to whoever comes by WebSocket: sends the handshake, then what script says.
 */
export async function rawServer(t, script, handshake = {}) {
  const http = createServer((req, res) => res.writeHead(400).end());
  const wss = new WebSocketServer({ server: http });
  wss.on("connection", (ws, req) => {
    ws.send("0" + JSON.stringify({ sid: "x", upgrades: [], pingInterval: 25000, pingTimeout: 20000, ...handshake }));
    script(ws, req);
  });
  return listen(t, http);
}

/**
 * A proxy in front of a server, as bad as the options make it:
 *
 * - upgrade: what it does to Upgrade requests: "pass" (default), "strip" the header, "hang", "mute" (accepts, then
 *   says nothing), or a status code to refuse with
 * - buffer: keeps a response until it is complete
 * - idle: cuts connections that were silent for so many ms
 *
 * The result counts what passed: requests, upgrades.
 */
export async function proxy(t, target, { upgrade = "pass", buffer = false, idle = 0 } = {}) {
  const { hostname, port } = new URL(target);
  const seen = { requests: [], upgrades: 0, cuts: 0, url: "" };
  const pending = new Set();
  const server = createTcpServer((down) => {
    let up;
    let timer;
    const end = () => {
      clearTimeout(timer);
      down.destroy();
      up?.destroy();
      pending.delete(end);
    };
    pending.add(end);
    const touch = () => {
      if (!idle) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        seen.cuts++;
        end();
      }, idle);
    };
    down.on("error", end);
    down.on("close", end);
    down.on("data", (chunk) => {
      touch();
      let text = chunk.toString("latin1");
      for (const [, line] of text.matchAll(/^((?:GET|POST) \S+) HTTP/gm)) seen.requests.push(line);
      if (/^upgrade: websocket/im.test(text)) {
        seen.upgrades++;
        if (upgrade === "hang") return;
        if (upgrade === "mute") {
          // The answer of a WebSocket server, with the key that the client asks for, and then nothing.
          const wss = new WebSocketServer({ noServer: true });
          const head = Object.fromEntries(
            [...text.matchAll(/^([\w-]+): (.*)\r$/gm)].map(([, name, value]) => [name.toLowerCase(), value]),
          );
          wss.handleUpgrade({ method: "GET", headers: head, socket: down }, down, Buffer.alloc(0), () => {});
          return;
        }
        if (typeof upgrade === "number") {
          down.end(`HTTP/1.1 ${upgrade} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
          return;
        }
        if (upgrade === "strip") text = text.replace(/^(upgrade|connection): .*\r\n/gim, "");
      }
      if (!up) {
        up = connectTcp(port, hostname);
        up.on("error", end);
        const held = [];
        up.on("data", (data) => {
          touch();
          if (!buffer) return down.write(data);
          held.push(data);
          const all = Buffer.concat(held).toString("latin1");
          // A response is complete with its length or its last chunk; all that is asked of it here.
          const length = /^content-length: (\d+)/im.exec(all);
          const body = all.slice(all.indexOf("\r\n\r\n") + 4);
          if (length ? body.length >= +length[1] : body.endsWith("0\r\n\r\n")) down.write(Buffer.concat(held.splice(0)));
        });
        up.on("close", end);
      }
      up.write(Buffer.from(text, "latin1"));
    });
  });
  seen.url = await listen(t, server);
  t.after(() => pending.forEach((end) => end()));
  return seen;
}
