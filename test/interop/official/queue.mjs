// What the official suites import as ./node-imports.js: the globals of a browser that they use. The WebSocket hands
// out one message at a time and keeps those that come while nobody listens: the suites listen for one message at a
// time, and some of their versions lose a message that arrives together with the one before it.
import { createRequire } from "node:module";

const require = createRequire(process.env.NPM_ROOT + "/");
const ws = require("ws");
const chai = require("chai");
chai.use(require("chai-string"));

class QueueingWebSocket {
  #socket;
  #listeners = { open: [], message: [], close: [], error: [] };
  #queue = [];

  constructor(url) {
    this.#socket = new ws.WebSocket(url);
    for (const type of ["open", "close", "error"]) {
      this.#socket.addEventListener(type, (event) => this.#dispatch(type, event));
    }
    this.#socket.addEventListener("message", (event) => {
      this.#queue.push(event);
      this.#drain();
    });
  }

  set binaryType(type) {
    this.#socket.binaryType = type;
  }

  addEventListener(type, listener, options) {
    this.#listeners[type].push({ listener, once: options?.once });
    if (type === "message") queueMicrotask(() => this.#drain());
  }

  removeEventListener(type, listener) {
    this.#listeners[type] = this.#listeners[type].filter((l) => l.listener !== listener);
  }

  on(type, listener) {
    this.addEventListener(type, listener);
  }

  send(data) {
    this.#socket.send(data);
  }

  close() {
    this.#socket.close();
  }

  #drain() {
    while (this.#queue.length > 0 && this.#listeners.message.length > 0) {
      this.#dispatch("message", this.#queue.shift());
    }
  }

  #dispatch(type, event) {
    const listeners = this.#listeners[type];
    this.#listeners[type] = listeners.filter((l) => !l.once);
    for (const { listener } of listeners) listener(event);
  }
}

globalThis.WebSocket = QueueingWebSocket;
globalThis.chai = chai;
