/* Sockeye, a Socket.IO client. MIT licence. */

// src/emitter.ts
var Emitter = class {
  constructor() {
    this._listeners = /* @__PURE__ */ Object.create(null);
  }
  /** Adds a listener. */
  on(event, listener) {
    (this._listeners[event] ||= []).push(listener);
    return this;
  }
  /** Adds a listener that is removed before its first call. */
  once(event, listener) {
    const wrapper = (...args) => {
      this.off(event, wrapper);
      listener.apply(this, args);
    };
    wrapper._fn = listener;
    return this.on(event, wrapper);
  }
  /** Removes one listener, every listener of an event, or, without arguments, all of them. */
  off(event, listener) {
    if (!event) {
      this._listeners = /* @__PURE__ */ Object.create(null);
    } else if (!listener) {
      delete this._listeners[event];
    } else {
      const list = this.listeners(event);
      const i = list.findIndex((l) => l === listener || l._fn === listener);
      if (i >= 0) {
        list.splice(i, 1);
        this._listeners[event] = list;
      }
    }
    return this;
  }
  /** A copy of the listeners of an event. */
  listeners(event) {
    return (this._listeners[event] || []).slice();
  }
  /** Whether an event has listeners. */
  hasListeners(event) {
    return this.listeners(event).length > 0;
  }
  /** @internal Calls the listeners as they were when the call began. */
  _fire(event, ...args) {
    for (const l of this.listeners(event)) l.apply(this, args);
    return this;
  }
};
var proto = Emitter.prototype;
proto.addEventListener = proto.on;
proto.removeEventListener = proto.removeListener = proto.removeAllListeners = proto.off;

// src/binary.ts
function isBinary(value) {
  return ArrayBuffer.isView(value) || /^\[object (ArrayBuffer|Blob|File)]$/.test(Object.prototype.toString.call(value));
}
function isBlob(value) {
  return isBinary(value) && !ArrayBuffer.isView(value) && "size" in value;
}
function textSize(data = "") {
  return typeof data === "string" ? new TextEncoder().encode(data).length : Math.ceil((isBlob(data) ? data.size : data.byteLength) / 3) * 4;
}
function toBase64(data) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
}

// src/frame.ts
var typeNames = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
var separator = "";
function encodeFrame({ type, data = "" }) {
  return typeof data === "string" ? type + data : "b" + toBase64(data);
}
function decodeFrame(text) {
  if (text[0] === "b") return { type: 4 /* Message */, data: fromBase64(text.slice(1)) };
  if (!/^[0-6]/.test(text)) throw new Error("invalid packet");
  return { type: +text[0], data: text.slice(1) };
}

// src/memory.ts
var lifetime = 6e5;
var memories = {};
var prefix = "sockeye:";
function recall(key) {
  let memory = memories[key];
  if (!memory) {
    try {
      memory = JSON.parse(sessionStorage.getItem(prefix + key));
    } catch {
    }
    memory ||= { at: 0 };
  }
  if (!(Date.now() - memory.at < lifetime)) memory.transport = memory.heartbeat = void 0;
  return memories[key] = memory;
}
function keep(key, store) {
  const memory = memories[key];
  memory.at = Date.now();
  if (!store) return;
  try {
    sessionStorage.setItem(prefix + key, JSON.stringify(memory));
  } catch {
  }
}
function forget(key) {
  memories[key].at = 0;
}

// src/transport.ts
var TransportError = class extends Error {
  /**
   * @param description the HTTP status, or what the browser said
   * @param context the Response, CloseEvent or other object at hand
   */
  constructor(message, description, context) {
    super(message);
    this.description = description;
    this.context = context;
    this.type = "TransportError";
  }
};
var Transport = class {
  constructor(name, host, options) {
    this.name = name;
    this.host = host;
    this.options = options;
    /** Whether send may be called. The engine sets it first, a transport that is busy clears it for that time. */
    this.ready = false;
    /** Whether packets sent in one go travel together, so that waiting for more of them pays. */
    this.batches = false;
  }
  /** Whether packets can still arrive after pause was granted, until the transport has ended. */
  get trailing() {
    return false;
  }
  /** Whether a packet sent now would leave at once, instead of waiting behind others. */
  get writable() {
    return this.ready;
  }
  /** How many of these packets one send may take: at least one. */
  fit(frames) {
    return frames.length;
  }
  /** Stops reading, so that another transport can take over, and calls done when the last packet is through. */
  pause(done) {
    done();
  }
};

// src/polling.ts
var maxPackets = 16;
var PollingTransport = class extends Transport {
  constructor() {
    super(...arguments);
    this.batches = true;
    this._receiving = false;
    this._aborter = new AbortController();
    this._ended = false;
  }
  open() {
    this._receive();
  }
  fit(frames) {
    let bytes = -1;
    const n = frames.findIndex(({ data }, i) => {
      bytes += 2 + textSize(data);
      return i && (i >= maxPackets || bytes > this.host.maxPayload);
    });
    return n < 0 ? frames.length : n;
  }
  send(frames) {
    this.ready = false;
    this._post(frames).then(
      () => {
        this.ready = true;
        this._quiet();
        if (!this._ended) this.host.drained(this);
      },
      (err) => this._end("transport error", err)
    );
  }
  pause(done) {
    this._paused = done;
    this._quiet();
  }
  close(last) {
    this._ended = true;
    const abort = () => this._aborter.abort();
    if (last && this.host.id) this._post([...last, { type: 1 /* Close */ }], true).then(abort, abort);
    else abort();
  }
  /** Carries out one request for packets. */
  async _read() {
    for (const part of (await (await this._fetch()).text()).split(separator)) this._take(part);
  }
  /** Whether packets may come on another transport while this one is still reading. */
  _mayTrail() {
    return false;
  }
  _take(text) {
    if (this._ended) return;
    let frame;
    try {
      frame = decodeFrame(text);
    } catch (err) {
      return this._end("parse error", err);
    }
    this.host.received(this, frame);
  }
  async _fetch(init) {
    const { extraHeaders, withCredentials } = this.options;
    const response = await fetch(this.host.url(this, "http"), {
      cache: "no-store",
      credentials: withCredentials ? "include" : "same-origin",
      headers: extraHeaders,
      signal: this._aborter.signal,
      ...init
    });
    if (!response.ok) {
      const text = await response.text();
      const said = /"message":"([^"]*)"/.exec(text);
      throw new TransportError(`HTTP ${response.status}${said ? " " + said[1] : ""}`, response.status, response);
    }
    return response;
  }
  async _receive() {
    try {
      while (!this._ended && !this._paused) {
        this._receiving = true;
        await this._read();
        this._receiving = false;
      }
      this._quiet();
    } catch (err) {
      this._end("transport error", err);
    }
  }
  async _post(frames, keepalive) {
    if (frames.some((f) => isBlob(f.data))) {
      frames = await Promise.all(
        frames.map(async (f) => isBlob(f.data) ? { type: f.type, data: await f.data.arrayBuffer() } : f)
      );
    }
    const body = frames.map(encodeFrame).join(separator);
    await (await this._fetch({ method: "POST", body, keepalive })).text();
  }
  /** Grants the pause when nothing is under way any more. */
  _quiet() {
    if (!this._paused || !this.ready || this._ended) return;
    if (!this._receiving || this._mayTrail()) {
      const done = this._paused;
      this._paused = () => {
      };
      done();
    }
    if (!this._receiving) this._end("transport close", void 0);
  }
  _end(reason, description) {
    if (this._ended) return;
    this._ended = true;
    this._aborter.abort();
    this.host.ended(this, reason, description);
  }
};

// src/streaming.ts
var canStream = typeof Response !== "undefined" && "body" in Response.prototype;
var StreamingTransport = class extends PollingTransport {
  get trailing() {
    return this._receiving;
  }
  _mayTrail() {
    return true;
  }
  async _read() {
    const records = await (this.options.eventSource || !canStream ? this._readEvents() : this._readBody());
    if (!records) throw new TransportError("empty stream");
  }
  async _readBody() {
    const response = await this._fetch();
    this.host.opened(this);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let records = 0;
    for (; ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + decoder.decode(value, { stream: true })).split(separator);
      rest = parts.pop();
      records += parts.length;
      for (const part of parts) this._take(part);
    }
    if (rest) throw new TransportError("stream cut short");
    return records;
  }
  _readEvents() {
    return new Promise((resolve) => {
      const source = new EventSource(this.host.url(this, "http"), { withCredentials: !!this.options.withCredentials });
      let records = 0;
      const take = (text) => {
        records++;
        this._take(text);
      };
      const close = () => {
        source.close();
        resolve(records);
      };
      source.onopen = () => this.host.opened(this);
      source.onmessage = (event) => take(event.data);
      source.addEventListener("e", (event) => take(decodeURIComponent(event.data)));
      source.onerror = close;
      this._aborter.signal.addEventListener("abort", close);
    });
  }
};

// src/websocket.ts
var WebSocketTransport = class extends Transport {
  open() {
    const { host } = this;
    if (typeof WebSocket === "undefined") return host.ended(this, "transport error", new TransportError("no WebSocket here"));
    let ws;
    try {
      ws = this._ws = new WebSocket(host.url(this, "ws"), this.options.protocols || []);
    } catch (err) {
      return host.ended(this, "transport error", err);
    }
    ws.binaryType = "arraybuffer";
    ws.onopen = () => host.opened(this);
    ws.onmessage = ({ data }) => {
      let frame;
      try {
        frame = typeof data === "string" ? decodeFrame(data) : { type: 4 /* Message */, data };
      } catch (err) {
        return host.ended(this, "parse error", err);
      }
      host.received(this, frame);
    };
    ws.onerror = (event) => host.ended(this, "transport error", new TransportError("websocket error", event));
    ws.onclose = (context) => host.ended(this, "transport close", { description: "websocket connection closed", context });
  }
  get writable() {
    return this.ready && !this._ws.bufferedAmount;
  }
  send(frames) {
    for (const { type, data = "" } of frames) {
      this._ws.send(typeof data === "string" ? type + data : data);
    }
  }
  close(last) {
    const ws = this._ws;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onerror = ws.onclose = () => {
    };
    if (last && ws.readyState === 1) this.send(last);
    ws.close();
  }
};

// src/registry.ts
var transports = {
  websocket: WebSocketTransport,
  polling: PollingTransport,
  streaming: StreamingTransport
};

// src/engine.ts
var defaultOrder = ["websocket", "polling", "streaming"];
var Engine = class extends Emitter {
  constructor(address, options) {
    super();
    /** The session, as the server calls it; empty before the handshake. */
    this.id = "";
    this.readyState = "opening";
    this.maxPayload = 0;
    this._index = 0;
    this._failures = [];
    this._started = 0;
    this._outbox = [];
    this._flushing = false;
    this._opened = 0;
    /** The promise of the server: a ping every so often, and how late it may be. */
    this._interval = 0;
    this._patience = 0;
    this._deadline = Infinity;
    this._active = 0;
    this._unlisten = () => {
    };
    this._candidates = [];
    this._probing = false;
    this._answered = false;
    this._switching = false;
    this._held = [];
    const { transports: given, remember } = options;
    this._address = address;
    this._options = options;
    this._key = address.origin + this._path();
    this._memory = recall(this._key);
    this._order = [...given || defaultOrder];
    const best = this._memory.transport;
    if (!given && best && remember !== false) this._order = [best, ...defaultOrder.filter((name) => name !== best)];
    queueMicrotask(() => this._next());
  }
  /** Sends one message. */
  write(data) {
    this._send({ type: 4 /* Message */, data });
  }
  /** Closes the connection, after what was written has been sent. */
  close() {
    if (this.readyState === "opening") this._close("forced close");
    if (this.readyState !== "open") return;
    this.readyState = "closing";
    this._flush();
  }
  /** Whether a packet sent now would leave at once. */
  get writable() {
    return !!this.id && !this._switching && !this._outbox.length && this.transport.writable;
  }
  /** @internal Whether the server is overdue. Timers sleep when the machine does, so it is asked before sending. */
  _expired() {
    const expired = Date.now() > this._deadline;
    if (expired) queueMicrotask(() => this._close("ping timeout"));
    return expired;
  }
  url(transport, scheme) {
    const query = new URLSearchParams(this._address.query);
    const set = (value, name) => query.set(name, value);
    new URLSearchParams(this._optionsFor(transport.name).query).forEach(set);
    set(4, "EIO");
    set(transport.name, "transport");
    if (scheme === "http") set(Date.now().toString(36) + Math.random().toString(36).slice(2, 6), "t");
    if (this.id) {
      set(this.id, "sid");
    } else {
      if (this._memory.heartbeat) set(this._memory.heartbeat, "heartbeat");
      if (this._upgrades() && this._order.includes("streaming")) set(1, "streaming");
    }
    return this._address.origin.replace("http", scheme) + this._path() + "?" + query;
  }
  opened(transport) {
    if (transport !== this._candidate || this._probing) return;
    this._probing = transport.ready = true;
    transport.send([{ type: 2 /* Ping */, data: "probe" }]);
  }
  received(transport, frame) {
    if (transport === this._candidate) {
      this._answered ||= frame.type === 3 /* Pong */;
      this._switch(transport);
    } else if (transport === this.transport && this._tail) {
      this._held.push(frame);
    } else if (transport === this.transport || transport === this._tail) {
      this._receive(frame);
    }
  }
  drained(transport) {
    if (transport === this._candidate) this._switch(transport);
    if (transport !== this.transport) return;
    this._fire("drain");
    this._flush();
  }
  ended(transport, reason, description) {
    if (transport === this._candidate) {
      this._probeFailed(description);
    } else if (transport === this._tail) {
      this._release();
    } else if (transport === this.transport) {
      if (!this.id) return this._failed(description);
      if (reason === "transport error") this._fire("error", description);
      this._close(reason, description);
    }
  }
  // Choosing.
  _path() {
    const { path = "/socket.io", addTrailingSlash } = this._options;
    return path.replace(/\/$/, "") + (addTrailingSlash === false ? "" : "/");
  }
  _optionsFor(name) {
    return { ...this._options, ...this._options.transportOptions?.[name] };
  }
  _create(name) {
    const Factory = transports[name];
    if (!Factory) throw new TransportError("unknown transport");
    return new Factory(name, this, this._optionsFor(name));
  }
  /** Begins with the next transport. */
  _next() {
    if (this.readyState !== "opening") return;
    const { attemptTimeout, timeout } = this._options;
    const left = this._order.length - this._index;
    this._started = Date.now();
    try {
      this.transport = this._create(this._order[this._index]);
    } catch (err) {
      return this._failed(err);
    }
    if (left > 1) {
      const ms = Math.min(attemptTimeout, (timeout || Infinity) / this._order.length);
      this._timer = setTimeout(() => this._failed(new TransportError(`no answer in ${ms} ms`)), ms);
    }
    this.transport.open();
  }
  /** An attempt came to nothing. */
  _failed(err) {
    if (this.readyState !== "opening") return;
    clearTimeout(this._timer);
    this.transport?.close();
    this._failures.push(this._record(this._order[this._index], "connect", err));
    if (++this._index < this._order.length) return this._next();
    const { description, context } = err;
    const summary = this._failures.map((a) => a.name + ": " + a.reason).join("; ");
    const error = Object.assign(new TransportError(summary, description, context), { attempts: this._failures });
    this._fire("error", error);
    this._close("transport error", error);
  }
  _record(name, phase, err) {
    const at = Date.now();
    const { message, description = err } = err || {};
    const attempt = {
      name,
      phase,
      ok: !err,
      reason: err ? String(message || description) : "",
      ms: at - (phase === "close" ? this._opened : this._started),
      at
    };
    this._fire("attempt", attempt);
    return attempt;
  }
  /** The handshake's answer is here. */
  _handshake(text) {
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
    }
    if (typeof answer?.sid !== "string") return this._failed(new TransportError("no handshake"));
    const upgrades = answer.upgrades || [];
    this.id = answer.sid;
    this._interval = answer.pingInterval;
    this._patience = answer.pingTimeout;
    this.maxPayload = answer.maxPayload || 1e6;
    clearTimeout(this._timer);
    this.readyState = "open";
    this.transport.ready = true;
    this._opened = Date.now();
    this._record(this.transport.name, "connect");
    this._learn();
    this._listen();
    this._alive();
    this._watch();
    this._keepAlive();
    this._fire("open");
    this._candidates = this._upgrades() ? this._order.slice(this._index + 1).filter((name) => upgrades.includes(name)) : [];
    const lost = this._failures.some((a) => a.name === "websocket");
    if (lost && this._memory.worked && upgrades.includes("websocket")) this._candidates = ["websocket"];
    this._probe();
  }
  /** Remembers the transport that works. */
  _learn() {
    const memory = this._memory;
    const { name } = this.transport;
    const best = name === defaultOrder[0] ? void 0 : name;
    memory.worked ||= name === "websocket";
    if (!this._options.transports && best !== memory.transport) {
      memory.transport = best;
      this._keep();
    }
  }
  _keep() {
    keep(this._key, this._options.remember !== false);
  }
  // Upgrading.
  _upgrades() {
    const { upgrade, transports: given } = this._options;
    return upgrade ?? (given && given[0] !== "websocket");
  }
  _probe() {
    const name = this._candidates.shift();
    if (!name || this.readyState !== "open") return;
    this._started = Date.now();
    this._timer = setTimeout(
      () => this._probeFailed(new TransportError("no answer")),
      this._options.attemptTimeout
    );
    this._probing = this._answered = false;
    this._candidate = this._create(name);
    this._candidate.open();
  }
  _probeFailed(err) {
    const { name } = this._candidate;
    clearTimeout(this._timer);
    this._candidate.close();
    this._candidate = void 0;
    this._record(name, "upgrade", err || "closed");
    this._fire("upgradeError", err);
    if (this._switching) return this._close("transport error", err);
    this._probe();
  }
  _switch(next) {
    if (this._switching || !this._answered || !next.ready) return;
    this._switching = true;
    this._fire("upgrading", next);
    const old = this.transport;
    old.pause(() => {
      if (next !== this._candidate) return;
      clearTimeout(this._timer);
      next.send([{ type: 5 /* Upgrade */ }]);
      this.transport = next;
      this._candidate = void 0;
      this._switching = false;
      if (old.trailing) {
        this._tail = old;
        this._timer = setTimeout(() => this._release(), this._options.attemptTimeout);
      }
      this._record(next.name, "upgrade");
      this._learn();
      this._keepAlive();
      this._fire("upgrade", next);
      this._flush();
    });
  }
  /** The transport before the upgrade has delivered everything. */
  _release() {
    clearTimeout(this._timer);
    this._tail.close();
    this._tail = void 0;
    for (const frame of this._held.splice(0)) this._receive(frame);
  }
  // Living.
  _receive(frame) {
    const { type, data } = frame;
    if (this.readyState === "closed" || type === 0 /* Open */ === !!this.id) return;
    this._alive();
    this._fire("packet", { type: typeNames[type], data });
    if (type === 0 /* Open */) {
      this._handshake(data);
    } else if (type === 2 /* Ping */) {
      this._send({ type: 3 /* Pong */ });
      this._fire("ping");
    } else if (type === 4 /* Message */) {
      this._fire("data", data);
    } else if (type === 1 /* Close */) {
      this._close("transport close", { description: "closed by the server" });
    }
  }
  _send(frame) {
    const { type, data } = frame;
    this._outbox.push(frame);
    this._fire("packetCreate", { type: typeNames[type], data });
    if (!this.transport?.batches) return this._flush();
    if (this._flushing) return;
    this._flushing = true;
    queueMicrotask(() => {
      this._flushing = false;
      this._flush();
    });
  }
  _flush() {
    const { transport, _outbox: outbox } = this;
    if (!this.id || this._switching || this.readyState === "closed" || !transport.ready) return;
    if (outbox.length) {
      this._active = Date.now();
      transport.send(outbox.splice(0, transport.fit(outbox)));
      if (transport.ready) this._fire("drain");
    }
    if (this.readyState === "closing" && !outbox.length && transport.ready) this._close("forced close", void 0, []);
  }
  /** Something arrived. */
  _alive() {
    this._active = Date.now();
    if (this.id) this._deadline = this._active + this._interval + this._patience;
  }
  _watch() {
    this._pingTimer = setTimeout(() => this._expired() || this._watch(), this._deadline - Date.now() + 1);
  }
  /** Speaks up where the network cuts silent connections and the server did not agree to do so. */
  _keepAlive() {
    const { heartbeat } = this._memory;
    clearInterval(this._keepTimer);
    if (!heartbeat || heartbeat >= this._interval || this.transport.batches) return;
    this._keepTimer = setInterval(() => this._send({ type: 6 /* Noop */ }), heartbeat);
  }
  _listen() {
    if (typeof document === "undefined") return;
    const leave = (description, last) => {
      this.readyState = "closing";
      this._close("transport close", { description }, last);
    };
    const hide = () => leave("page left", this.transport.ready ? this._outbox : []);
    const offline = () => {
      forget(this._key);
      leave("network connection lost");
    };
    const left = this._options.closeOnBeforeunload ? "beforeunload" : "pagehide";
    const remote = !/\/\/(localhost|127\.|\[::1])/.test(this._key);
    addEventListener(left, hide);
    if (remote) addEventListener("offline", offline);
    this._unlisten = () => {
      removeEventListener(left, hide);
      removeEventListener("offline", offline);
    };
  }
  _close(reason, description, last) {
    const state = this.readyState;
    if (state === "closed") return;
    if (state === "open") this._mourn(reason);
    this.readyState = "closed";
    clearTimeout(this._timer);
    clearTimeout(this._pingTimer);
    clearInterval(this._keepTimer);
    this._unlisten();
    this._candidate?.close();
    this._tail?.close();
    this.transport?.close(last);
    this._outbox = [];
    const { name } = this.transport || {};
    if (this.id) this._record(name, "close", reason);
    else if (this._index < this._order.length && name) this._record(name, "connect", reason);
    this._fire("close", reason, description);
  }
  /** Finds out whether the network cuts connections that are silent for long: two in a row, after the same time. */
  _mourn(reason) {
    const memory = this._memory;
    const limit = Math.min(this._interval, memory.heartbeat || Infinity);
    const idle = reason === "ping timeout" ? limit / 2 : Date.now() - this._active;
    const before = memory.idle;
    memory.idle = void 0;
    if (idle < 500 || idle >= limit) return;
    if (before && Math.abs(idle - before) < before * 0.3) {
      memory.heartbeat = Math.max(500, Math.round(idle / 2));
      this._keep();
    } else {
      memory.idle = idle;
    }
  }
};

// src/options.ts
var defaults = {
  attemptTimeout: 4e3,
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1e3,
  reconnectionDelayMax: 5e3,
  randomizationFactor: 0.5,
  timeout: 2e4
};

// src/packet.ts
var protocol = 5;
var reserved = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
var Encoder = class {
  encode({ type, nsp, id, data }) {
    const attachments = [];
    const json = data === void 0 ? "" : JSON.stringify(data, function(key, value) {
      const raw = this[key];
      return isBinary(raw) ? { "_placeholder": true, num: attachments.push(raw) - 1 } : value;
    });
    const n = attachments.length;
    return [
      (n && type < 4 /* ConnectError */ ? type + 3 + (n + "-") : type + "") + (nsp && nsp !== "/" ? nsp + "," : "") + (id ?? "") + json,
      ...attachments
    ];
  }
};
var header = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),|(\/.*)$)?(\d*)/;
var Decoder = class extends Emitter {
  constructor() {
    super(...arguments);
    this._json = "";
    this._missing = 0;
    this._attachments = [];
  }
  add(message) {
    if (typeof message === "string") {
      if (this._packet) throw new Error("attachment expected");
      const m = header.exec(message);
      if (!m) throw new Error("invalid packet");
      const type = +m[1];
      const binary = type > 4 /* ConnectError */;
      if (binary !== +m[2] > 0) throw new Error("invalid packet");
      this._missing = +m[2] || 0;
      this._json = message.slice(m[0].length);
      this._packet = {
        type: binary ? type - 3 : type,
        nsp: m[3] || m[4] || "/",
        id: m[5] ? +m[5] : void 0
      };
    } else {
      if (!this._packet) throw new Error("unexpected attachment");
      this._attachments.push(message);
      this._missing--;
    }
    if (!this._missing) this._finish();
  }
  /** Forgets a packet of which only a part arrived. */
  destroy() {
    this._packet = void 0;
    this._attachments = [];
  }
  _finish() {
    const packet = this._packet;
    const attachments = this._attachments;
    this.destroy();
    const data = packet.data = this._json ? JSON.parse(this._json, (_, value) => {
      if (!attachments.length || value?.["_placeholder"] !== true) return value;
      if (!(value.num in attachments) || typeof value.num !== "number") throw new Error("invalid attachment");
      return attachments[value.num];
    }) : void 0;
    const object = data && typeof data === "object";
    const list = Array.isArray(data);
    const ok = [
      data === void 0 || object && !list,
      data === void 0,
      list && (typeof data[0] === "number" || typeof data[0] === "string" && !reserved.includes(data[0])),
      list,
      object || typeof data === "string"
    ][packet.type];
    if (!ok) throw new Error("invalid packet");
    this._fire("decoded", packet);
  }
};

// src/socket.ts
var Socket = class extends Emitter {
  constructor(io2, nsp, opts = {}) {
    super();
    this.io = io2;
    this.nsp = nsp;
    this.connected = false;
    /** Whether the socket is connected or will go on trying to be. */
    this.active = false;
    /** Whether the last connect went on where the connection before it had ended. */
    this.recovered = false;
    /** Packets that wait for a connection. */
    this.sendBuffer = [];
    /** Events that came before the connect was answered. */
    this.receiveBuffer = [];
    this._ids = 0;
    this._acks = {};
    this._flags = {};
    this._queue = [];
    this._anyIn = [];
    this._anyOut = [];
    this._opts = opts;
    this.auth = opts.auth;
  }
  get disconnected() {
    return !this.connected;
  }
  /** Connects, and goes on doing so after a loss, until disconnect. */
  connect() {
    if (this.connected) return this;
    const fresh = !this.active;
    this.active = true;
    if (!this.io._reconnecting) this.io.open();
    if (this.io._open && fresh) this._onOpen();
    return this;
  }
  disconnect() {
    if (this.connected) this._packet({ type: 1 /* Disconnect */ });
    this._leave();
    if (this.connected) this._onClose("io client disconnect");
    return this;
  }
  /**
   * Emits an event. A function as last argument is called with the acknowledgement. Without a connection the
   * event waits for one.
   */
  emit(event, ...args) {
    if (reserved.includes(event)) throw new Error(`"${event}" is a reserved event name`);
    const flags = this._flags;
    this._flags = {};
    const data = [event, ...args];
    if (this._opts.retries && !flags._fromQueue && !flags.volatile) {
      this._enqueue(data, flags);
      return this;
    }
    const packet = {
      type: 2 /* Event */,
      nsp: this.nsp,
      data,
      options: { compress: flags.compress !== false }
    };
    if (typeof data[data.length - 1] === "function") {
      packet.id = this._ids++;
      this._expect(packet, data.pop(), flags.timeout ?? this._opts.ackTimeout);
    }
    const { engine } = this.io;
    if (flags.volatile && !(this.io._open && engine.writable)) {
    } else if (this.connected && !engine._expired()) {
      this._out(packet);
    } else {
      this.sendBuffer.push(packet);
    }
    return this;
  }
  /** Emits an event and promises the acknowledgement, whose first argument it resolves to. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => {
      const ack = (err, value) => err ? reject(err) : resolve(value);
      ack._withError = true;
      this.emit(event, ...args, ack);
    });
  }
  /** Emits the event "message". */
  send(...args) {
    return this.emit("message", ...args);
  }
  /** Whether the next event may be compressed. Browsers decide that for themselves; kept for compatibility. */
  compress(compress) {
    this._flags.compress = compress;
    return this;
  }
  /** The next event is dropped if it cannot leave at once. */
  get volatile() {
    this._flags.volatile = true;
    return this;
  }
  /** How long to wait for the acknowledgement of the next event, in ms; its callback gets an error first. */
  timeout(ms) {
    this._flags.timeout = ms;
    return this;
  }
  /** Listens to every event, whatever its name; the name is the first argument. */
  onAny(listener) {
    this._anyIn.push(listener);
    return this;
  }
  /** Listens to every event, before those who do so already. */
  prependAny(listener) {
    this._anyIn.unshift(listener);
    return this;
  }
  /** Removes a catch-all listener, or all of them. */
  offAny(listener) {
    without(this._anyIn, listener);
    return this;
  }
  listenersAny() {
    return this._anyIn;
  }
  /** Listens to every event that is sent, when it is. Acknowledgements are not events. */
  onAnyOutgoing(listener) {
    this._anyOut.push(listener);
    return this;
  }
  prependAnyOutgoing(listener) {
    this._anyOut.unshift(listener);
    return this;
  }
  offAnyOutgoing(listener) {
    without(this._anyOut, listener);
    return this;
  }
  listenersAnyOutgoing() {
    return this._anyOut;
  }
  // What the manager tells.
  /** @internal There is a connection. */
  _onOpen() {
    const join = (data) => this._packet({
      type: 0 /* Connect */,
      data: this._session ? { pid: this._session, offset: this._offset, ...data } : data
    });
    if (typeof this.auth === "function") this.auth(join);
    else join(this.auth);
  }
  /** @internal There will be no connection for now. */
  _onError(err) {
    if (!this.connected) this._fire("connect_error", err);
  }
  /** @internal The connection is gone. */
  _onClose(reason, details) {
    if (!this.connected) return;
    this.connected = false;
    this.id = void 0;
    this._fire("disconnect", reason, details);
    for (const id of Object.keys(this._acks).map(Number)) {
      if (this.sendBuffer.some((packet) => packet.id === id)) continue;
      const ack = this._acks[id];
      delete this._acks[id];
      if (ack._withError) ack.call(this, new Error("socket has been disconnected"));
    }
  }
  /** @internal */
  _onPacket({ type, id, data }) {
    if (!this.active) {
      if (type === 0 /* Connect */) this._packet({ type: 1 /* Disconnect */ });
      return;
    }
    switch (type) {
      case 0 /* Connect */:
        if (data?.sid) {
          this._onConnect(data.sid, data.pid);
        } else {
          this._fire("connect_error", new Error("the server speaks an older protocol (Socket.IO v2), this client that of v3 and later"));
        }
        break;
      case 2 /* Event */:
      case 5 /* BinaryEvent */:
        if (id !== void 0) data.push(this._acknowledge(id));
        if (this.connected) this._in(data);
        else this.receiveBuffer.push(data);
        break;
      case 3 /* Ack */:
      case 6 /* BinaryAck */: {
        const ack = this._acks[id];
        if (!ack) return;
        delete this._acks[id];
        if (ack._withError) data.unshift(null);
        ack.apply(this, data);
        break;
      }
      case 1 /* Disconnect */:
        this._leave();
        this._onClose("io server disconnect");
        break;
      case 4 /* ConnectError */:
        this._leave();
        this._fire("connect_error", Object.assign(new Error(data.message), { data: data.data }));
    }
  }
  _onConnect(id, session) {
    this.id = id;
    this.recovered = !!session && session === this._session;
    this._session = session;
    this.connected = true;
    for (const args of this.receiveBuffer.splice(0)) this._in(args);
    for (const packet of this.sendBuffer.splice(0)) this._out(packet);
    this._drain(true);
    this._fire("connect");
  }
  /** An event came in. */
  _in(args) {
    for (const listener of [...this._anyIn]) listener.apply(this, args);
    this._fire(args[0], ...args.slice(1));
    const last = args[args.length - 1];
    if (this._session && args.length > 1 && typeof last === "string") this._offset = last;
  }
  /** An event goes out. */
  _out(packet) {
    for (const listener of [...this._anyOut]) listener.apply(this, packet.data);
    this.io._send(packet);
  }
  _packet(packet) {
    if (this.io._open) this.io._send({ ...packet, nsp: this.nsp });
  }
  /** Wants no connection any more. */
  _leave() {
    this.active = false;
    this.io._release();
  }
  /** The function with which a listener acknowledges an event, once. */
  _acknowledge(id) {
    let sent = false;
    return (...data) => {
      if (sent) return;
      sent = true;
      this._packet({ type: 3 /* Ack */, id, data });
    };
  }
  /** Registers the callback for the acknowledgement of a packet. */
  _expect(packet, ack, timeout) {
    const id = packet.id;
    if (timeout === void 0) {
      this._acks[id] = ack;
      return;
    }
    const timer = setTimeout(() => {
      delete this._acks[id];
      this.sendBuffer = this.sendBuffer.filter((p) => p !== packet);
      ack.call(this, new Error("operation has timed out"));
    }, timeout);
    const wrapper = (...args) => {
      clearTimeout(timer);
      ack.apply(this, args);
    };
    wrapper._withError = true;
    this._acks[id] = wrapper;
  }
  /** Queues an event that is sent until it is acknowledged. */
  _enqueue(args, flags) {
    const ack = typeof args[args.length - 1] === "function" ? args.pop() : void 0;
    const queued = { _args: args, _flags: { ...flags, _fromQueue: true }, _tries: 0, _pending: false };
    const done = (err, ...values) => {
      if (queued !== this._queue[0]) return;
      queued._pending = false;
      if (!err || queued._tries > this._opts.retries) {
        this._queue.shift();
        ack?.call(this, err, ...values);
      }
      this._drain();
    };
    done._withError = true;
    args.push(done);
    this._queue.push(queued);
    this._drain();
  }
  /** Sends the first event of the queue, unless it is under way. */
  _drain(again) {
    const first = this._queue[0];
    if (!this.connected || !first || first._pending && !again) return;
    first._pending = true;
    first._tries++;
    this._flags = first._flags;
    this.emit(...first._args);
  }
};
function without(list, listener) {
  if (!listener) list.length = 0;
  else if (list.includes(listener)) list.splice(list.indexOf(listener), 1);
}
var proto2 = Socket.prototype;
proto2.open = proto2.connect;
proto2.close = proto2.disconnect;

// src/url.ts
function parseAddress(uri) {
  const page = typeof location === "undefined" ? void 0 : location;
  const scheme = page ? page.protocol : "https:";
  uri ||= "/";
  if (uri.length > 8e3) throw new Error("URI too long");
  if (/^\/(?!\/)/.test(uri)) uri = (page ? page.host : "localhost") + uri;
  if (!/^(https?|wss?):\/\//.test(uri)) uri = scheme + (uri.startsWith("//") ? uri : "//" + uri);
  const m = /^(http|ws)(s?):\/\/(?:[^/?#]*@)?([^/?#]+)([^?#]*)\??([^#]*)/.exec(uri);
  if (!m) throw new Error("invalid URI: " + uri);
  const [, , secure, host, namespace, query] = m;
  return {
    origin: `http${secure}://${host}${/:\d+$/.test(host) ? "" : secure ? ":443" : ":80"}`,
    namespace: namespace || "/",
    query
  };
}

// src/manager.ts
var Manager = class extends Emitter {
  constructor(uri, opts) {
    super();
    this.nsps = {};
    /** What was tried so far and how it went, the oldest first, at most 100 entries. */
    this.transports = [];
    /** @internal */
    this._reconnecting = false;
    this._state = "closed";
    this._attempts = 0;
    this._stopped = false;
    if (uri && typeof uri === "object") opts = uri;
    else this.uri = uri;
    this._address = parseAddress(this.uri);
    this.opts = { ...defaults, ...opts };
    this._encoder = new (this.opts.parser?.Encoder || Encoder)();
    if (this.opts.autoConnect !== false) this.open();
  }
  /** The name of the transport in use, undefined while there is no connection. */
  get transport() {
    return this._open ? this.engine.transport.name : void 0;
  }
  /** Calls back for every new entry of transports. The result stops that. */
  onTransport(callback) {
    this.on("transport", callback);
    return () => {
      this.off("transport", callback);
    };
  }
  /** Opens the connection, unless it is open or being opened. The callback is told how that went. */
  open(callback) {
    if (this._state !== "closed") return this;
    clearTimeout(this._timer);
    this._state = "opening";
    this._stopped = false;
    const engine = this.engine = this._current = new Engine(this._address, this.opts);
    const fail = (err) => {
      this._drop();
      this._fire("error", err);
      for (const socket of this._sockets()) socket._onError(err);
      if (callback) callback(err);
      else if (!this._attempts) this._reconnect();
    };
    const { timeout } = this.opts;
    if (timeout !== false) this._timer = setTimeout(() => fail(new Error("timeout")), timeout);
    const on = (event, listener) => engine.on(event, (...args) => {
      if (this._current === engine) listener(...args);
    });
    on("open", () => {
      clearTimeout(this._timer);
      this._onOpen();
      callback?.();
    });
    on("error", (err) => this._open ? this._fire("error", err) : fail(err));
    on("close", (reason, description) => this._onClose(reason, description));
    on("ping", () => this._fire("ping"));
    on("data", (data) => this._onData(data));
    engine.on("attempt", (attempt) => {
      this.transports.push(attempt);
      if (this.transports.length > 100) this.transports.shift();
      this._fire("transport", attempt);
    });
    return this;
  }
  /** The socket of a namespace, the same one every time. */
  socket(nsp, opts) {
    const socket = this.nsps[nsp] ||= new Socket(this, nsp, opts);
    if (this.opts.autoConnect !== false && !socket.active) socket.connect();
    return socket;
  }
  /** @internal */
  get _open() {
    return this._state === "open";
  }
  /** @internal Closes the connection when no socket needs it any more. */
  _release() {
    if (this._sockets().length) return;
    this._stopped = true;
    this._reconnecting = false;
    this._onClose("forced close");
  }
  /** @internal Sends a packet. */
  _send(packet) {
    for (const part of this._encoder.encode(packet)) this.engine.write(part);
  }
  /** The sockets that want to be connected. */
  _sockets() {
    return Object.values(this.nsps).filter((socket) => socket.active);
  }
  _onOpen() {
    this._state = "open";
    this._decoder = new (this.opts.parser?.Decoder || Decoder)();
    this._decoder.on("decoded", (packet) => {
      try {
        this._fire("packet", packet);
        this.nsps[packet.nsp]?._onPacket(packet);
      } catch (err) {
        queueMicrotask(() => {
          throw err;
        });
      }
    });
    this._fire("open");
    for (const socket of this._sockets()) socket._onOpen();
  }
  _onData(data) {
    try {
      this._decoder.add(data);
    } catch (err) {
      this._onClose("parse error", err);
    }
  }
  /** Gives up the engine. */
  _drop() {
    const engine = this._current;
    clearTimeout(this._timer);
    this._current = void 0;
    this._state = "closed";
    this._decoder?.destroy();
    engine?.close();
  }
  _onClose(reason, description) {
    this._drop();
    this._attempts = 0;
    this._fire("close", reason, description);
    for (const socket of this._sockets()) socket._onClose(reason, description);
    this._reconnect();
  }
  _reconnect() {
    if (this._reconnecting || this._stopped || !this.opts.reconnection) return;
    if (this._attempts >= this.opts.reconnectionAttempts) {
      this._attempts = 0;
      this._fire("reconnect_failed");
      return;
    }
    this._reconnecting = true;
    this._timer = setTimeout(() => {
      if (this._stopped || !this.opts.reconnection) return;
      this._fire("reconnect_attempt", this._attempts);
      if (this._stopped) return;
      this.open((err) => {
        this._reconnecting = false;
        if (err) {
          this._reconnect();
          this._fire("reconnect_error", err);
        } else {
          const attempts = this._attempts;
          this._attempts = 0;
          this._fire("reconnect", attempts);
        }
      });
    }, this._delay());
  }
  /** The next delay: twice the last, a random part of it more or less, never more than the longest. */
  _delay() {
    const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this.opts;
    const delay = reconnectionDelay * 2 ** Math.min(this._attempts++, 30);
    const random = Math.random();
    const stray = Math.floor(random * randomizationFactor * delay);
    return Math.min(Math.floor(random * 10) % 2 ? delay + stray : delay - stray, reconnectionDelayMax);
  }
};
var proto3 = Manager.prototype;
proto3.connect = proto3.open;
for (const name of Object.keys(defaults)) {
  proto3[name] = function(value) {
    if (value === void 0) return this.opts[name];
    this.opts[name] = value;
    return this;
  };
}

// src/index.ts
var managers = {};
function io(uri, opts) {
  if (uri && typeof uri === "object") [uri, opts] = [void 0, uri];
  opts ||= {};
  const { origin, namespace, query } = parseAddress(uri);
  const key = origin + (opts.path || "/socket.io");
  const source = origin + "/" + (query && "?" + query);
  let manager = managers[key];
  if (opts.forceNew || opts.multiplex === false || manager?.nsps[namespace]) {
    manager = new Manager(source, opts);
  } else {
    manager = managers[key] ||= new Manager(source, opts);
  }
  return manager.socket(namespace, opts);
}
export {
  Manager,
  Socket,
  Transport,
  TransportError,
  io as connect,
  io as default,
  io,
  protocol,
  transports
};
//# sourceMappingURL=socket.io.esm.js.map
