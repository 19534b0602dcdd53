import { Emitter } from "./emitter";
import { Engine, type TransportAttempt } from "./engine";
import { defaults, type ManagerOptions, type Settings, type SocketOptions } from "./options";
import { Decoder, Encoder, type Packet } from "./packet";
import { Socket } from "./socket";
import { type Address, parseAddress } from "./url";

/** The events of a Manager. */
export interface ManagerEvents {
  open: () => void;
  close: (reason: string, description?: unknown) => void;
  /** A connection could not be made, or a transport failed. */
  error: (err: Error) => void;
  /** The server's heartbeat. */
  ping: () => void;
  packet: (packet: Packet) => void;
  /** A new entry of the history of transports. */
  transport: (attempt: TransportAttempt) => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect: (attempt: number) => void;
  reconnect_error: (err: Error) => void;
  reconnect_failed: () => void;
}

/** One connection, made again whenever it is lost, shared by the sockets of its namespaces. */
export class Manager extends Emitter<ManagerEvents & { [event: string]: any }> {
  readonly uri?: string;
  /** The options, which count again with every new connection. */
  readonly opts: Settings;
  readonly nsps: Record<string, Socket<any, any>> = {};
  /** The connection, or the last one. */
  engine!: Engine;
  /** What was tried so far and how it went, the oldest first, at most 100 entries. */
  readonly transports: TransportAttempt[] = [];

  /** @internal */
  _reconnecting = false;
  private _address: Address;
  private _state: "closed" | "opening" | "open" = "closed";
  /** The engine that may speak to us. One that was given up may still be sending its last packets. */
  private _current?: Engine;
  private _attempts = 0;
  private _stopped = false;
  private _timer?: ReturnType<typeof setTimeout>;
  private _encoder: Pick<Encoder, "encode">;
  private _decoder!: Pick<Decoder, "add" | "on" | "destroy">;

  constructor(opts?: ManagerOptions);
  /** @param uri the server's address; without it the page's own server */
  constructor(uri?: string, opts?: ManagerOptions);
  constructor(uri?: string | ManagerOptions, opts?: ManagerOptions) {
    super();
    if (uri && typeof uri === "object") opts = uri;
    else this.uri = uri as string | undefined;
    this._address = parseAddress(this.uri);
    this.opts = { ...defaults, ...opts };
    this._encoder = new (this.opts.parser?.Encoder || Encoder)();
    if (this.opts.autoConnect !== false) this.open();
  }

  /** The name of the transport in use, undefined while there is no connection. */
  get transport(): string | undefined {
    return this._open ? this.engine.transport.name : undefined;
  }

  /** Calls back for every new entry of transports. The result stops that. */
  onTransport(callback: (attempt: TransportAttempt) => void): () => void {
    this.on("transport", callback);
    return () => {
      this.off("transport", callback);
    };
  }

  /** Opens the connection, unless it is open or being opened. The callback is told how that went. */
  open(callback?: (err?: Error) => void): this {
    if (this._state !== "closed") return this;
    clearTimeout(this._timer);
    this._state = "opening";
    this._stopped = false;
    const engine = (this.engine = this._current = new Engine(this._address, this.opts));

    const fail = (err: Error) => {
      this._drop();
      this._fire("error", err);
      for (const socket of this._sockets()) socket._onError(err);
      if (callback) callback(err);
      else if (!this._attempts) this._reconnect();
    };
    const { timeout } = this.opts;
    if (timeout !== false) this._timer = setTimeout(() => fail(new Error("timeout")), timeout);

    const on = (event: string, listener: (...args: any[]) => void) =>
      engine.on(event, (...args) => {
        if (this._current === engine) listener(...args);
      });
    on("open", () => {
      clearTimeout(this._timer);
      this._onOpen();
      callback?.();
    });
    on("error", (err) => (this._open ? this._fire("error", err) : fail(err)));
    on("close", (reason, description) => this._onClose(reason, description));
    on("ping", () => this._fire("ping"));
    on("data", (data) => this._onData(data));
    // Not only while it is current: an engine that was given up has its place in the history, too.
    engine.on("attempt", (attempt) => {
      this.transports.push(attempt);
      if (this.transports.length > 100) this.transports.shift();
      this._fire("transport", attempt);
    });
    return this;
  }

  /** The socket of a namespace, the same one every time. */
  socket(nsp: string, opts?: SocketOptions): Socket {
    const socket = (this.nsps[nsp] ||= new Socket(this, nsp, opts));
    if (this.opts.autoConnect !== false && !socket.active) socket.connect();
    return socket;
  }

  /** @internal */
  get _open(): boolean {
    return this._state === "open";
  }

  /** @internal Closes the connection when no socket needs it any more. */
  _release(): void {
    if (this._sockets().length) return;
    this._stopped = true;
    this._reconnecting = false;
    this._onClose("forced close");
  }

  /** @internal Sends a packet. */
  _send(packet: Packet): void {
    for (const part of this._encoder.encode(packet)) this.engine.write(part);
  }

  /** The sockets that want to be connected. */
  private _sockets() {
    return Object.values(this.nsps).filter((socket) => socket.active);
  }

  private _onOpen() {
    this._state = "open";
    this._decoder = new (this.opts.parser?.Decoder || Decoder)();
    this._decoder.on("decoded", (packet: Packet) => {
      try {
        this._fire("packet", packet);
        this.nsps[packet.nsp]?._onPacket(packet);
      } catch (err) {
        // An error in a listener is the page's, and stops nothing here.
        queueMicrotask(() => {
          throw err;
        });
      }
    });
    this._fire("open");
    for (const socket of this._sockets()) socket._onOpen();
  }

  private _onData(data: unknown) {
    try {
      this._decoder.add(data);
    } catch (err) {
      this._onClose("parse error", err);
    }
  }

  /** Gives up the engine. */
  private _drop() {
    const engine = this._current;
    clearTimeout(this._timer);
    this._current = undefined;
    this._state = "closed";
    this._decoder?.destroy();
    engine?.close();
  }

  private _onClose(reason: string, description?: unknown) {
    this._drop();
    this._attempts = 0;
    this._fire("close", reason, description);
    for (const socket of this._sockets()) socket._onClose(reason, description);
    this._reconnect();
  }

  private _reconnect() {
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
      // A listener may have thought better of it.
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
  private _delay() {
    const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this.opts;
    const delay = reconnectionDelay * 2 ** Math.min(this._attempts++, 30);
    const random = Math.random();
    const stray = Math.floor(random * randomizationFactor * delay);
    return Math.min(Math.floor(random * 10) % 2 ? delay + stray : delay - stray, reconnectionDelayMax);
  }
}

type Setting<K extends keyof typeof defaults> = { (): Settings[K]; (value: Settings[K]): Manager };

/** Each setting is a method, too: without an argument it answers the value, with one it changes it. */
export interface Manager {
  connect: Manager["open"];
  attemptTimeout: Setting<"attemptTimeout">;
  reconnection: Setting<"reconnection">;
  reconnectionAttempts: Setting<"reconnectionAttempts">;
  reconnectionDelay: Setting<"reconnectionDelay">;
  reconnectionDelayMax: Setting<"reconnectionDelayMax">;
  randomizationFactor: Setting<"randomizationFactor">;
  timeout: Setting<"timeout">;
}

const proto = Manager.prototype as any;
proto.connect = proto.open;
for (const name of Object.keys(defaults)) {
  proto[name] = function (this: any, value?: unknown) {
    if (value === undefined) return this.opts[name];
    this.opts[name] = value;
    return this;
  };
}
