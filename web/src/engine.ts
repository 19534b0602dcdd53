import type { Binary } from "./binary";
import { Emitter } from "./emitter";
import { type Frame, Type, typeNames } from "./frame";
import { forget, keep, type Memory, recall } from "./memory";
import type { Settings } from "./options";
import { transports } from "./registry";
import { type EndReason, type Transport, TransportError, type TransportHost } from "./transport";
import type { Address } from "./url";

/** One entry of the history of transports. */
export interface TransportAttempt {
  /** The transport's name. */
  name: string;
  /** connect and upgrade are attempts; close is the loss of a connection that stood. */
  phase: "connect" | "upgrade" | "close";
  /** Whether the attempt succeeded. */
  ok: boolean;
  /** Why it failed or why the connection was lost, in words; empty when ok. */
  reason: string;
  /** How long the attempt took, or the connection stood, in ms. */
  ms: number;
  /** When it ended, in ms since 1970. */
  at: number;
}

type Timer = ReturnType<typeof setTimeout>;

export type EngineState = "opening" | "open" | "closing" | "closed";

const defaultOrder = ["websocket", "polling", "streaming"];

/**
 * One connection to a server, from the first attempt to the close: chooses the transport, upgrades it, keeps it
 * alive. Fires open, packet, packetCreate, data, ping, upgrading, upgrade, upgradeError, drain, error, close and
 * attempt.
 */
export class Engine extends Emitter implements TransportHost {
  /** The session, as the server calls it; empty before the handshake. */
  id = "";
  readyState: EngineState = "opening";
  /** The transport in use, or being tried. */
  transport!: Transport;
  maxPayload = 0;

  private _address: Address;
  private _options: Settings;
  private _key: string;
  private _memory: Memory;
  private _order: string[];
  private _index = 0;
  private _failures: TransportAttempt[] = [];
  private _started = 0;
  private _timer?: Timer;

  private _outbox: Frame[] = [];
  private _flushing = false;
  private _opened = 0;
  /** The promise of the server: a ping every so often, and how late it may be. */
  private _interval = 0;
  private _patience = 0;
  private _deadline = Infinity;
  private _active = 0;
  private _pingTimer?: Timer;
  private _keepTimer?: Timer;
  private _unlisten = () => {};

  /** The transport that is being probed, and those to probe after it. */
  private _candidate?: Transport;
  private _candidates: string[] = [];
  private _probing = false;
  private _answered = false;
  private _switching = false;
  /** The transport before the upgrade, while it still delivers; what the new one brings waits for it. */
  private _tail?: Transport;
  private _held: Frame[] = [];

  constructor(address: Address, options: Settings) {
    super();
    const { transports: given, remember } = options;
    this._address = address;
    this._options = options;
    this._key = address.origin + this._path();
    this._memory = recall(this._key);
    this._order = [...(given || defaultOrder)];
    const best = this._memory.transport;
    if (!given && best && remember !== false) this._order = [best, ...defaultOrder.filter((name) => name !== best)];
    // Whoever made the engine has the rest of this turn to listen to it.
    queueMicrotask(() => this._next());
  }

  /** Sends one message. */
  write(data: string | Binary): void {
    this._send({ type: Type.Message, data });
  }

  /** Closes the connection, after what was written has been sent. */
  close(): void {
    if (this.readyState === "opening") this._close("forced close");
    if (this.readyState !== "open") return;
    this.readyState = "closing";
    this._flush();
  }

  /** Whether a packet sent now would leave at once. */
  get writable(): boolean {
    return !!this.id && !this._switching && !this._outbox.length && this.transport.writable;
  }

  /** @internal Whether the server is overdue. Timers sleep when the machine does, so it is asked before sending. */
  _expired(): boolean {
    const expired = Date.now() > this._deadline;
    if (expired) queueMicrotask(() => this._close("ping timeout"));
    return expired;
  }

  url(transport: Transport, scheme: "http" | "ws"): string {
    const query = new URLSearchParams(this._address.query);
    const set = (value: any, name: string) => query.set(name, value);
    new URLSearchParams(this._optionsFor(transport.name).query as any).forEach(set);
    set(4, "EIO");
    set(transport.name, "transport");
    // Caches that do not listen to cache headers see a different address every time.
    if (scheme === "http") set(Date.now().toString(36) + Math.random().toString(36).slice(2, 6), "t");
    if (this.id) {
      set(this.id, "sid");
    } else {
      if (this._memory.heartbeat) set(this._memory.heartbeat, "heartbeat");
      if (this._upgrades() && this._order.includes("streaming")) set(1, "streaming");
    }
    return this._address.origin.replace("http", scheme) + this._path() + "?" + query;
  }

  opened(transport: Transport): void {
    if (transport !== this._candidate || this._probing) return;
    this._probing = transport.ready = true;
    transport.send([{ type: Type.Ping, data: "probe" }]);
  }

  received(transport: Transport, frame: Frame): void {
    if (transport === this._candidate) {
      this._answered ||= frame.type === Type.Pong;
      this._switch(transport);
    } else if (transport === this.transport && this._tail) {
      this._held.push(frame);
    } else if (transport === this.transport || transport === this._tail) {
      this._receive(frame);
    }
  }

  drained(transport: Transport): void {
    if (transport === this._candidate) this._switch(transport);
    if (transport !== this.transport) return;
    this._fire("drain");
    this._flush();
  }

  ended(transport: Transport, reason: EndReason, description: unknown): void {
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

  private _path() {
    const { path = "/socket.io", addTrailingSlash } = this._options;
    return path.replace(/\/$/, "") + (addTrailingSlash === false ? "" : "/");
  }

  private _optionsFor(name: string): Settings {
    return { ...this._options, ...this._options.transportOptions?.[name] };
  }

  private _create(name: string): Transport {
    const Factory = transports[name];
    if (!Factory) throw new TransportError("unknown transport");
    return new Factory(name, this, this._optionsFor(name));
  }

  /** Begins with the next transport. */
  private _next(): void {
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
  private _failed(err: unknown): void {
    if (this.readyState !== "opening") return;
    clearTimeout(this._timer);
    this.transport?.close();
    this._failures.push(this._record(this._order[this._index], "connect", err));
    if (++this._index < this._order.length) return this._next();
    const { description, context } = err as TransportError;
    const summary = this._failures.map((a) => a.name + ": " + a.reason).join("; ");
    const error = Object.assign(new TransportError(summary, description, context), { attempts: this._failures });
    this._fire("error", error);
    this._close("transport error", error);
  }

  private _record(name: string, phase: TransportAttempt["phase"], err?: unknown): TransportAttempt {
    const at = Date.now();
    const { message, description = err } = (err || {}) as TransportError;
    const attempt = {
      name,
      phase,
      ok: !err,
      reason: err ? String(message || description) : "",
      ms: at - (phase === "close" ? this._opened : this._started),
      at,
    };
    this._fire("attempt", attempt);
    return attempt;
  }

  /** The handshake's answer is here. */
  private _handshake(text: string) {
    let answer: any;
    try {
      answer = JSON.parse(text);
    } catch {
      // Some other page answered, which the next line finds out.
    }
    if (typeof answer?.sid !== "string") return this._failed(new TransportError("no handshake"));
    const upgrades: string[] = answer.upgrades || [];
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
    this._candidates = this._upgrades()
      ? this._order.slice(this._index + 1).filter((name) => upgrades.includes(name))
      : [];
    // A WebSocket that used to work and now does not may have met a server that was just starting. It gets one
    // more chance, so that a restart does not leave the page on a lesser transport.
    const lost = this._failures.some((a) => a.name === "websocket");
    if (lost && this._memory.worked && upgrades.includes("websocket")) this._candidates = ["websocket"];
    this._probe();
  }

  /** Remembers the transport that works. */
  private _learn() {
    const memory = this._memory;
    const { name } = this.transport;
    const best = name === defaultOrder[0] ? undefined : name;
    memory.worked ||= name === "websocket";
    if (!this._options.transports && best !== memory.transport) {
      memory.transport = best;
      this._keep();
    }
  }

  private _keep() {
    keep(this._key, this._options.remember !== false);
  }

  // Upgrading.

  private _upgrades() {
    const { upgrade, transports: given } = this._options;
    return upgrade ?? (given && given[0] !== "websocket");
  }

  private _probe() {
    const name = this._candidates.shift();
    if (!name || this.readyState !== "open") return;
    this._started = Date.now();
    this._timer = setTimeout(
      () => this._probeFailed(new TransportError("no answer")),
      this._options.attemptTimeout,
    );
    this._probing = this._answered = false;
    this._candidate = this._create(name);
    this._candidate.open();
  }

  private _probeFailed(err: unknown) {
    const { name } = this._candidate!;
    clearTimeout(this._timer);
    this._candidate!.close();
    this._candidate = undefined;
    this._record(name, "upgrade", err || "closed");
    this._fire("upgradeError", err);
    // Once the old transport has been told to stop there is no way back to it.
    if (this._switching) return this._close("transport error", err);
    this._probe();
  }

  private _switch(next: Transport) {
    // The answer can be here before the request that carried the question has come back.
    if (this._switching || !this._answered || !next.ready) return;
    this._switching = true;
    this._fire("upgrading", next);
    const old = this.transport;
    old.pause(() => {
      if (next !== this._candidate) return;
      clearTimeout(this._timer);
      next.send([{ type: Type.Upgrade }]);
      this.transport = next;
      this._candidate = undefined;
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
  private _release() {
    clearTimeout(this._timer);
    this._tail!.close();
    this._tail = undefined;
    for (const frame of this._held.splice(0)) this._receive(frame);
  }

  // Living.

  private _receive(frame: Frame) {
    const { type, data } = frame;
    if (this.readyState === "closed" || (type === Type.Open) === !!this.id) return;
    this._alive();
    this._fire("packet", { type: typeNames[type], data });
    if (type === Type.Open) {
      this._handshake(data as string);
    } else if (type === Type.Ping) {
      this._send({ type: Type.Pong });
      this._fire("ping");
    } else if (type === Type.Message) {
      this._fire("data", data);
    } else if (type === Type.Close) {
      this._close("transport close", { description: "closed by the server" });
    }
  }

  private _send(frame: Frame) {
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

  private _flush() {
    const { transport, _outbox: outbox } = this;
    if (!this.id || this._switching || this.readyState === "closed" || !transport.ready) return;
    if (outbox.length) {
      this._active = Date.now();
      transport.send(outbox.splice(0, transport.fit(outbox)));
      if (transport.ready) this._fire("drain");
    }
    if (this.readyState === "closing" && !outbox.length && transport.ready) this._close("forced close", undefined, []);
  }

  /** Something arrived. */
  private _alive() {
    this._active = Date.now();
    if (this.id) this._deadline = this._active + this._interval + this._patience;
  }

  private _watch() {
    this._pingTimer = setTimeout(() => this._expired() || this._watch(), this._deadline - Date.now() + 1);
  }

  /** Speaks up where the network cuts silent connections and the server did not agree to do so. */
  private _keepAlive() {
    const { heartbeat } = this._memory;
    clearInterval(this._keepTimer);
    if (!heartbeat || heartbeat >= this._interval || this.transport.batches) return;
    this._keepTimer = setInterval(() => this._send({ type: Type.Noop }), heartbeat);
  }

  private _listen() {
    if (typeof document === "undefined") return;
    const leave = (description: string, last?: Frame[]) => {
      this.readyState = "closing";
      this._close("transport close", { description }, last);
    };
    // What is still here leaves with the close: there will be no other occasion.
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

  private _close(reason: string, description?: unknown, last?: Frame[]) {
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
    // An attempt that was still under way when the time was up belongs in the history, too.
    const { name } = this.transport || {};
    if (this.id) this._record(name, "close", reason);
    else if (this._index < this._order.length && name) this._record(name, "connect", reason);
    this._fire("close", reason, description);
  }

  /** Finds out whether the network cuts connections that are silent for long: two in a row, after the same time. */
  private _mourn(reason: string) {
    const memory = this._memory;
    const limit = Math.min(this._interval, memory.heartbeat || Infinity);
    // A cut that nobody told us of shows as a ping that never came. How long it took to happen is a guess.
    const idle = reason === "ping timeout" ? limit / 2 : Date.now() - this._active;
    const before = memory.idle;
    memory.idle = undefined;
    if (idle < 500 || idle >= limit) return;
    if (before && Math.abs(idle - before) < before * 0.3) {
      memory.heartbeat = Math.max(500, Math.round(idle / 2));
      this._keep();
    } else {
      memory.idle = idle;
    }
  }
}
