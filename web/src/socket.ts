import { Emitter, type DefaultEventsMap, type EventNames, type EventParams, type EventsMap } from "./emitter";
import type { Manager } from "./manager";
import type { AuthData, SocketOptions } from "./options";
import { type Packet, PacketType, reserved } from "./packet";

/** Why a socket was disconnected. After the first two it does not connect again by itself. */
export type DisconnectReason =
  | "io server disconnect"
  | "io client disconnect"
  | "ping timeout"
  | "transport close"
  | "transport error"
  | "parse error"
  | "forced close";

/** What is known about a disconnect: an Error, or what the transport said and the event in which it said it. */
export type DisconnectDetails = Error | { description: string; context?: unknown };

export interface SocketEvents {
  connect: () => void;
  connect_error: (err: Error & { data?: any }) => void;
  disconnect: (reason: DisconnectReason, details?: DisconnectDetails) => void;
}

type Last<T extends any[]> = T extends [...any[], infer L] ? L : any;
type AllButLast<T extends any[]> = T extends [...infer F, any] ? F : any[];
/** What an acknowledgement carries: its argument after a leading error. */
type AckValue<F> = F extends (...args: infer A) => any
  ? A extends [Error, infer V, ...any[]]
    ? V
    : A extends [infer V, ...any[]]
      ? V
      : any
  : any;
/** The parameters of an event whose acknowledgement gets an error in front, for it has a time limit. */
type WithError<T extends any[]> = T extends [...infer F, (...args: infer A) => infer R]
  ? [...F, (...args: [err: Error, ...rest: A]) => R]
  : T;

/** The emit events as they are once timeout() was called. */
export type DecorateAcknowledgements<E extends EventsMap> = {
  [K in keyof E]: (...args: WithError<Parameters<E[K]>>) => void;
};

type Ack = ((...args: any[]) => void) & { _withError?: boolean };
type AnyListener = (event: string, ...args: any[]) => void;

interface Flags {
  compress?: boolean;
  volatile?: boolean;
  timeout?: number;
  _fromQueue?: boolean;
}

interface Queued {
  _args: any[];
  _flags: Flags;
  _tries: number;
  _pending: boolean;
}

/** The connection to one namespace. */
export class Socket<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<ListenEvents & SocketEvents> {
  /** The name of this socket on the server; undefined while there is no connection. */
  id: string | undefined;
  connected = false;
  /** Whether the socket is connected or will go on trying to be. */
  active = false;
  /** Whether the last connect went on where the connection before it had ended. */
  recovered = false;
  /** Sent with every connect; may be replaced at any time. */
  auth: SocketOptions["auth"];
  /** Packets that wait for a connection. */
  sendBuffer: Packet[] = [];
  /** Events that came before the connect was answered. */
  receiveBuffer: any[][] = [];

  private _opts: SocketOptions;
  private _session?: string;
  private _offset?: string;
  private _ids = 0;
  private _acks: Record<number, Ack> = {};
  private _flags: Flags = {};
  private _queue: Queued[] = [];
  private _anyIn: AnyListener[] = [];
  private _anyOut: AnyListener[] = [];

  constructor(
    /** The connection that the socket shares with those of other namespaces. */
    readonly io: Manager,
    readonly nsp: string,
    opts: SocketOptions = {},
  ) {
    super();
    this._opts = opts;
    this.auth = opts.auth;
  }

  get disconnected(): boolean {
    return !this.connected;
  }

  /** Connects, and goes on doing so after a loss, until disconnect. */
  connect(): this {
    if (this.connected) return this;
    const fresh = !this.active;
    this.active = true;
    if (!this.io._reconnecting) this.io.open();
    if (this.io._open && fresh) this._onOpen();
    return this;
  }

  disconnect(): this {
    if (this.connected) this._packet({ type: PacketType.Disconnect });
    this._leave();
    if (this.connected) this._onClose("io client disconnect");
    return this;
  }

  /**
   * Emits an event. A function as last argument is called with the acknowledgement. Without a connection the
   * event waits for one.
   */
  emit<E extends EventNames<EmitEvents>>(event: E, ...args: EventParams<EmitEvents, E>): this {
    if (reserved.includes(event)) throw new Error(`"${event}" is a reserved event name`);
    const flags = this._flags;
    this._flags = {};
    const data: any[] = [event, ...args];
    if (this._opts.retries && !flags._fromQueue && !flags.volatile) {
      this._enqueue(data, flags);
      return this;
    }
    const packet: Packet = {
      type: PacketType.Event,
      nsp: this.nsp,
      data,
      options: { compress: flags.compress !== false },
    };
    if (typeof data[data.length - 1] === "function") {
      packet.id = this._ids++;
      this._expect(packet, data.pop(), flags.timeout ?? this._opts.ackTimeout);
    }
    const { engine } = this.io;
    if (flags.volatile && !(this.io._open && engine.writable)) {
      // Dropped: that is what volatile means.
    } else if (this.connected && !engine._expired()) {
      this._out(packet);
    } else {
      this.sendBuffer.push(packet);
    }
    return this;
  }

  /** Emits an event and promises the acknowledgement, whose first argument it resolves to. */
  emitWithAck<E extends EventNames<EmitEvents>>(
    event: E,
    ...args: AllButLast<EventParams<EmitEvents, E>>
  ): Promise<AckValue<Last<EventParams<EmitEvents, E>>>> {
    return new Promise((resolve, reject) => {
      const ack: Ack = (err, value) => (err ? reject(err) : resolve(value));
      ack._withError = true;
      (this as Socket<any, any>).emit(event, ...args, ack);
    });
  }

  /** Emits the event "message". */
  send(...args: any[]): this {
    return (this as Socket<any, any>).emit("message", ...args) as this;
  }

  /** Whether the next event may be compressed. Browsers decide that for themselves; kept for compatibility. */
  compress(compress: boolean): this {
    this._flags.compress = compress;
    return this;
  }

  /** The next event is dropped if it cannot leave at once. */
  get volatile(): this {
    this._flags.volatile = true;
    return this;
  }

  /** How long to wait for the acknowledgement of the next event, in ms; its callback gets an error first. */
  timeout(ms: number): Socket<ListenEvents, DecorateAcknowledgements<EmitEvents>> {
    this._flags.timeout = ms;
    return this as any;
  }

  /** Listens to every event, whatever its name; the name is the first argument. */
  onAny(listener: AnyListener): this {
    this._anyIn.push(listener);
    return this;
  }

  /** Listens to every event, before those who do so already. */
  prependAny(listener: AnyListener): this {
    this._anyIn.unshift(listener);
    return this;
  }

  /** Removes a catch-all listener, or all of them. */
  offAny(listener?: AnyListener): this {
    without(this._anyIn, listener);
    return this;
  }

  listenersAny(): AnyListener[] {
    return this._anyIn;
  }

  /** Listens to every event that is sent, when it is. Acknowledgements are not events. */
  onAnyOutgoing(listener: AnyListener): this {
    this._anyOut.push(listener);
    return this;
  }

  prependAnyOutgoing(listener: AnyListener): this {
    this._anyOut.unshift(listener);
    return this;
  }

  offAnyOutgoing(listener?: AnyListener): this {
    without(this._anyOut, listener);
    return this;
  }

  listenersAnyOutgoing(): AnyListener[] {
    return this._anyOut;
  }

  // What the manager tells.

  /** @internal There is a connection. */
  _onOpen(): void {
    const join = (data?: AuthData) =>
      this._packet({
        type: PacketType.Connect,
        data: this._session ? { pid: this._session, offset: this._offset, ...data } : data,
      });
    if (typeof this.auth === "function") this.auth(join);
    else join(this.auth);
  }

  /** @internal There will be no connection for now. */
  _onError(err: Error): void {
    if (!this.connected) this._fire("connect_error", err);
  }

  /** @internal The connection is gone. */
  _onClose(reason: string, details?: unknown): void {
    if (!this.connected) return;
    this.connected = false;
    this.id = undefined;
    this._fire("disconnect", reason, details);
    // What has not been sent is not lost, and its acknowledgement may still come.
    for (const id of Object.keys(this._acks).map(Number)) {
      if (this.sendBuffer.some((packet) => packet.id === id)) continue;
      const ack = this._acks[id];
      delete this._acks[id];
      if (ack._withError) ack.call(this, new Error("socket has been disconnected"));
    }
  }

  /** @internal */
  _onPacket({ type, id, data }: Packet): void {
    if (!this.active) {
      // The server let in a socket that has changed its mind since.
      if (type === PacketType.Connect) this._packet({ type: PacketType.Disconnect });
      return;
    }
    switch (type) {
      case PacketType.Connect:
        if (data?.sid) {
          this._onConnect(data.sid, data.pid);
        } else {
          this._fire("connect_error", new Error("the server speaks an older protocol (Socket.IO v2), this client that of v3 and later"));
        }
        break;
      case PacketType.Event:
      case PacketType.BinaryEvent:
        if (id !== undefined) data.push(this._acknowledge(id));
        if (this.connected) this._in(data);
        else this.receiveBuffer.push(data);
        break;
      case PacketType.Ack:
      case PacketType.BinaryAck: {
        const ack = this._acks[id!];
        if (!ack) return;
        delete this._acks[id!];
        if (ack._withError) data.unshift(null);
        ack.apply(this, data);
        break;
      }
      case PacketType.Disconnect:
        this._leave();
        this._onClose("io server disconnect");
        break;
      case PacketType.ConnectError:
        this._leave();
        this._fire("connect_error", Object.assign(new Error(data.message), { data: data.data }));
    }
  }

  private _onConnect(id: string, session?: string) {
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
  private _in(args: any[]) {
    for (const listener of [...this._anyIn]) listener.apply(this, args as [string]);
    this._fire(args[0], ...args.slice(1));
    // With recovery on, the server ends every event with its place in the stream.
    const last = args[args.length - 1];
    if (this._session && args.length > 1 && typeof last === "string") this._offset = last;
  }

  /** An event goes out. */
  private _out(packet: Packet) {
    for (const listener of [...this._anyOut]) listener.apply(this, packet.data);
    this.io._send(packet);
  }

  private _packet(packet: Omit<Packet, "nsp">) {
    // An auth function may answer late, when the connection it was asked for has gone.
    if (this.io._open) this.io._send({ ...packet, nsp: this.nsp });
  }

  /** Wants no connection any more. */
  private _leave() {
    this.active = false;
    this.io._release();
  }

  /** The function with which a listener acknowledges an event, once. */
  private _acknowledge(id: number) {
    let sent = false;
    return (...data: any[]) => {
      if (sent) return;
      sent = true;
      this._packet({ type: PacketType.Ack, id, data });
    };
  }

  /** Registers the callback for the acknowledgement of a packet. */
  private _expect(packet: Packet, ack: Ack, timeout?: number) {
    const id = packet.id!;
    if (timeout === undefined) {
      this._acks[id] = ack;
      return;
    }
    const timer = setTimeout(() => {
      delete this._acks[id];
      this.sendBuffer = this.sendBuffer.filter((p) => p !== packet);
      ack.call(this, new Error("operation has timed out"));
    }, timeout);
    const wrapper: Ack = (...args) => {
      clearTimeout(timer);
      ack.apply(this, args);
    };
    wrapper._withError = true;
    this._acks[id] = wrapper;
  }

  /** Queues an event that is sent until it is acknowledged. */
  private _enqueue(args: any[], flags: Flags) {
    const ack: Ack | undefined = typeof args[args.length - 1] === "function" ? args.pop() : undefined;
    const queued: Queued = { _args: args, _flags: { ...flags, _fromQueue: true }, _tries: 0, _pending: false };
    const done: Ack = (err, ...values) => {
      if (queued !== this._queue[0]) return;
      queued._pending = false;
      if (!err || queued._tries > this._opts.retries!) {
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
  private _drain(again?: boolean) {
    const first = this._queue[0];
    if (!this.connected || !first || (first._pending && !again)) return;
    first._pending = true;
    first._tries++;
    this._flags = first._flags;
    (this as Socket<any, any>).emit(...(first._args as [string]));
  }
}

function without(list: AnyListener[], listener?: AnyListener) {
  if (!listener) list.length = 0;
  else if (list.includes(listener)) list.splice(list.indexOf(listener), 1);
}

export interface Socket<ListenEvents extends EventsMap, EmitEvents extends EventsMap> {
  open: this["connect"];
  close: this["disconnect"];
}

const proto = Socket.prototype as any;
proto.open = proto.connect;
proto.close = proto.disconnect;
