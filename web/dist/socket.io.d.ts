// Made from web/src by types.js. Don't edit.

/** A set of typed events: names mapped to listener signatures. */
type EventsMap = {
    [event: string]: any;
};
/** The events of a socket that was given no types: any name, any arguments. */
interface DefaultEventsMap {
    [event: string]: (...args: any[]) => void;
}
type EventNames<M extends EventsMap> = keyof M & string;
type EventParams<M extends EventsMap, E extends EventNames<M>> = Parameters<M[E]>;
/** A minimal event emitter. Listeners run in the order in which they were added. */
declare class Emitter<Listen extends EventsMap = DefaultEventsMap> {
    /** Adds a listener. */
    on<E extends EventNames<Listen>>(event: E, listener: Listen[E]): this;
    /** Adds a listener that is removed before its first call. */
    once<E extends EventNames<Listen>>(event: E, listener: Listen[E]): this;
    /** Removes one listener, every listener of an event, or, without arguments, all of them. */
    off<E extends EventNames<Listen>>(event?: E, listener?: Listen[E]): this;
    /** A copy of the listeners of an event. */
    listeners<E extends EventNames<Listen>>(event: E): Listen[E][];
    /** Whether an event has listeners. */
    hasListeners(event: EventNames<Listen>): boolean;
}
interface Emitter<Listen extends EventsMap = DefaultEventsMap> {
    addEventListener: Emitter<Listen>["on"];
    removeEventListener: Emitter<Listen>["off"];
    removeListener: Emitter<Listen>["off"];
    removeAllListeners: Emitter<Listen>["off"];
}

/** What travels as a binary attachment. A File is a Blob. */
type Binary = ArrayBuffer | ArrayBufferView | Blob;
/** Tells binary values from others, those of another frame of the page included. */
declare function isBinary(value: unknown): value is Binary;
declare function isBlob(value: unknown): value is Blob;
/** The number of bytes of a message on the wire of a transport that is text only. */
declare function textSize(data?: string | Binary): number;
declare function toBase64(data: ArrayBuffer | ArrayBufferView): string;
/** Throws when text is not base64. */
declare function fromBase64(text: string): ArrayBuffer;

/** The types of Engine.IO packets. */
declare const enum Type {
    Open = 0,
    Close = 1,
    Ping = 2,
    Pong = 3,
    Message = 4,
    Upgrade = 5,
    Noop = 6
}
/** The names of the packet types, for those who watch them. */
declare const typeNames: string[];
/** One Engine.IO packet. Only a message can be binary. */
interface Frame {
    type: Type;
    data?: string | Binary;
}
/** Stands between the packets of a payload, and after every packet of a stream. */
declare const separator = "\u001E";
/** The text form of a packet whose data is not a Blob. */
declare function encodeFrame({ type, data }: Frame): string;
/** Reads the text form of a packet. Throws when it is none. */
declare function decodeFrame(text: string): Frame;

/** The version of the Socket.IO protocol. */
declare const protocol = 5;
declare const enum PacketType {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
    BinaryEvent = 5,
    BinaryAck = 6
}
/** One Socket.IO packet. */
interface Packet {
    type: PacketType;
    nsp: string;
    id?: number;
    data?: any;
    options?: {
        compress?: boolean;
    };
}
declare const reserved: string[];
/** Turns a packet into one text message and the binary messages that follow it. */
declare class Encoder {
    encode({ type, nsp, id, data }: Packet): (string | Binary)[];
}
/** Puts packets together again and fires "decoded" for each. Throws on a message that is not one. */
declare class Decoder extends Emitter {
    add(message: any): void;
    /** Forgets a packet of which only a part arrived. */
    destroy(): void;
}

/** What concerns one connection to a server. */
interface EngineOptions {
    /**
     * The transports to use, in this order; the first one that connects wins. An order that is given is kept.
     * Default: ["websocket", "polling", "streaming"], beginning with the one that last worked for the server.
     */
    transports?: string[];
    /**
     * Whether to go on to a transport that comes later in the list, once connected over one that is not
     * WebSocket, as the stock client does with ["polling", "websocket"]. Default: true for a list that is given
     * and begins with another transport than websocket.
     */
    upgrade?: boolean;
    /** How long one transport may take to connect while others are left to try, in ms. Default: 4000. */
    attemptTimeout?: number;
    /** Whether to remember, for this tab and ten minutes, which transport worked. Default: true. */
    remember?: boolean;
    /** Streaming by Server-Sent Events even where fetch can stream. Default: false. */
    eventSource?: boolean;
    /** The path that the server listens on. Default: "/socket.io". */
    path?: string;
    /** Whether the path gets a slash at its end. Default: true. */
    addTrailingSlash?: boolean;
    /** Added to the query of every request. The first namespace of a connection decides. */
    query?: Record<string, any> | string;
    /** Sent with the requests of polling and streaming. Browsers can't add headers to a WebSocket. */
    extraHeaders?: Record<string, string>;
    /** Whether requests to another origin carry cookies. Default: false. */
    withCredentials?: boolean;
    /** WebSocket subprotocols. */
    protocols?: string | string[];
    /** Options for one transport alone, by its name. */
    transportOptions?: Record<string, Partial<EngineOptions>>;
    /** Whether to close on beforeunload instead of pagehide. Default: false. */
    closeOnBeforeunload?: boolean;
}
interface ManagerOptions extends EngineOptions {
    /** Whether to connect at once. Default: true. */
    autoConnect?: boolean;
    /** Whether to connect again after a connection was lost. Default: true. */
    reconnection?: boolean;
    /** Attempts before giving up. Default: Infinity. */
    reconnectionAttempts?: number;
    /** The first delay, in ms; every further one is twice as long. Default: 1000. */
    reconnectionDelay?: number;
    /** The longest delay, in ms. Default: 5000. */
    reconnectionDelayMax?: number;
    /** How far a delay may stray, from 0 to 1. Default: 0.5. */
    randomizationFactor?: number;
    /** How long an attempt to connect may take, over all transports, in ms; false for ever. Default: 20000. */
    timeout?: number | false;
    /** Another codec for packets, such as the one of socket.io-msgpack-parser. */
    parser?: {
        Encoder: new () => Pick<Encoder, "encode">;
        Decoder: new () => Pick<Decoder, "add" | "on" | "destroy">;
    };
}
/** The options that have a value in any case. */
declare const defaults: {
    attemptTimeout: number;
    reconnection: boolean;
    reconnectionAttempts: number;
    reconnectionDelay: number;
    reconnectionDelayMax: number;
    randomizationFactor: number;
    timeout: number | false;
};
type Settings = ManagerOptions & typeof defaults;
type AuthData = {
    [key: string]: any;
};
interface SocketOptions {
    /** Sent to the server with every connect: an object, or a function that is given a callback for one. */
    auth?: AuthData | ((send: (data: AuthData) => void) => void);
    /** How often an emitted event is sent again until it is acknowledged. Default: not at all, no queue. */
    retries?: number;
    /** How long to wait for acknowledgements, in ms, unless timeout() says otherwise. Default: for ever. */
    ackTimeout?: number;
}
interface Options extends ManagerOptions, SocketOptions {
    /** Whether to open a connection of its own. Default: false. */
    forceNew?: boolean;
    /** Whether namespaces of the same server share a connection. Default: true. */
    multiplex?: boolean;
}

/** Why a transport ended. */
type EndReason = "transport error" | "transport close" | "parse error";
/** A failure of a transport, or of all of them. */
declare class TransportError extends Error {
    readonly description?: unknown;
    readonly context?: unknown;
    readonly type = "TransportError";
    /**
     * @param description the HTTP status, or what the browser said
     * @param context the Response, CloseEvent or other object at hand
     */
    constructor(message: string, description?: unknown, context?: unknown);
}
/** What a transport may ask of, and must tell, the engine it works for. */
interface TransportHost {
    /** The session, once there is one; a transport opened with one is the target of an upgrade. */
    readonly id: string;
    /** The most bytes that one POST may carry. */
    readonly maxPayload: number;
    /** The address for requests of this transport, made anew for each. */
    url(transport: Transport, scheme: "http" | "ws"): string;
    /** The way to the server stands. Only an upgrade waits for it; a handshake ends with its open packet. */
    opened(transport: Transport): void;
    received(transport: Transport, frame: Frame): void;
    /** The last send is done and ready is true again. */
    drained(transport: Transport): void;
    /** The transport is of no more use. It says so once, and nothing after. */
    ended(transport: Transport, reason: EndReason, description: unknown): void;
}
/** One way of carrying packets. Made with a factory from the registry, used once, then thrown away. */
declare abstract class Transport {
    readonly name: string;
    protected readonly host: TransportHost;
    protected readonly options: EngineOptions;
    /** Whether send may be called. The engine sets it first, a transport that is busy clears it for that time. */
    ready: boolean;
    /** Whether packets sent in one go travel together, so that waiting for more of them pays. */
    readonly batches: boolean;
    /** Whether packets can still arrive after pause was granted, until the transport has ended. */
    get trailing(): boolean;
    constructor(name: string, host: TransportHost, options: EngineOptions);
    /** Whether a packet sent now would leave at once, instead of waiting behind others. */
    get writable(): boolean;
    /** Begins the handshake, or, when the host has a session, the way to an upgrade. */
    abstract open(): void;
    /** Sends packets, in order. Only called while ready, and with no more than fit allows. */
    abstract send(frames: Frame[]): void;
    /** How many of these packets one send may take: at least one. */
    fit(frames: Frame[]): number;
    /** Stops reading, so that another transport can take over, and calls done when the last packet is through. */
    pause(done: () => void): void;
    /**
     * Ends the transport without a word to the host. With last, the server is told that the session is over,
     * after these packets.
     */
    abstract close(last?: Frame[]): void;
}
type TransportFactory = new (name: string, host: TransportHost, options: EngineOptions) => Transport;

/** The address of a server and the namespace in it. */
interface Address {
    /** Scheme, host and port: https://example.com:8080. */
    origin: string;
    namespace: string;
    /** The query of the address, without the question mark. */
    query: string;
}
/**
 * Reads an address in any of its usual forms: nothing (the page's own server), "/namespace",
 * "//host/namespace", "host:port/namespace", and full http, https, ws and wss URLs.
 */
declare function parseAddress(uri?: string): Address;

/** One entry of the history of transports. */
interface TransportAttempt {
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
type EngineState = "opening" | "open" | "closing" | "closed";
/**
 * One connection to a server, from the first attempt to the close: chooses the transport, upgrades it, keeps it
 * alive. Fires open, packet, packetCreate, data, ping, upgrading, upgrade, upgradeError, drain, error, close and
 * attempt.
 */
declare class Engine extends Emitter implements TransportHost {
    /** The session, as the server calls it; empty before the handshake. */
    id: string;
    readyState: EngineState;
    /** The transport in use, or being tried. */
    transport: Transport;
    maxPayload: number;
    /** The promise of the server: a ping every so often, and how late it may be. */
    /** The transport that is being probed, and those to probe after it. */
    /** The transport before the upgrade, while it still delivers; what the new one brings waits for it. */
    constructor(address: Address, options: Settings);
    /** Sends one message. */
    write(data: string | Binary): void;
    /** Closes the connection, after what was written has been sent. */
    close(): void;
    /** Whether a packet sent now would leave at once. */
    get writable(): boolean;
    url(transport: Transport, scheme: "http" | "ws"): string;
    opened(transport: Transport): void;
    received(transport: Transport, frame: Frame): void;
    drained(transport: Transport): void;
    ended(transport: Transport, reason: EndReason, description: unknown): void;
    /** Begins with the next transport. */
    /** An attempt came to nothing. */
    /** The handshake's answer is here. */
    /** Remembers the transport that works. */
    /** The transport before the upgrade has delivered everything. */
    /** Something arrived. */
    /** Speaks up where the network cuts silent connections and the server did not agree to do so. */
    /** Finds out whether the network cuts connections that are silent for long: two in a row, after the same time. */
}

/** Why a socket was disconnected. After the first two it does not connect again by itself. */
type DisconnectReason = "io server disconnect" | "io client disconnect" | "ping timeout" | "transport close" | "transport error" | "parse error" | "forced close";
/** What is known about a disconnect: an Error, or what the transport said and the event in which it said it. */
type DisconnectDetails = Error | {
    description: string;
    context?: unknown;
};
interface SocketEvents {
    connect: () => void;
    connect_error: (err: Error & {
        data?: any;
    }) => void;
    disconnect: (reason: DisconnectReason, details?: DisconnectDetails) => void;
}
type Last<T extends any[]> = T extends [...any[], infer L] ? L : any;
type AllButLast<T extends any[]> = T extends [...infer F, any] ? F : any[];
/** What an acknowledgement carries: its argument after a leading error. */
type AckValue<F> = F extends (...args: infer A) => any ? A extends [Error, infer V, ...any[]] ? V : A extends [infer V, ...any[]] ? V : any : any;
/** The parameters of an event whose acknowledgement gets an error in front, for it has a time limit. */
type WithError<T extends any[]> = T extends [...infer F, (...args: infer A) => infer R] ? [...F, (...args: [err: Error, ...rest: A]) => R] : T;
/** The emit events as they are once timeout() was called. */
type DecorateAcknowledgements<E extends EventsMap> = {
    [K in keyof E]: (...args: WithError<Parameters<E[K]>>) => void;
};
type AnyListener = (event: string, ...args: any[]) => void;
/** The connection to one namespace. */
declare class Socket<ListenEvents extends EventsMap = DefaultEventsMap, EmitEvents extends EventsMap = ListenEvents> extends Emitter<ListenEvents & SocketEvents> {
    /** The connection that the socket shares with those of other namespaces. */
    readonly io: Manager;
    readonly nsp: string;
    /** The name of this socket on the server; undefined while there is no connection. */
    id: string | undefined;
    connected: boolean;
    /** Whether the socket is connected or will go on trying to be. */
    active: boolean;
    /** Whether the last connect went on where the connection before it had ended. */
    recovered: boolean;
    /** Sent with every connect; may be replaced at any time. */
    auth: SocketOptions["auth"];
    /** Packets that wait for a connection. */
    sendBuffer: Packet[];
    /** Events that came before the connect was answered. */
    receiveBuffer: any[][];
    constructor(
    /** The connection that the socket shares with those of other namespaces. */
    io: Manager, nsp: string, opts?: SocketOptions);
    get disconnected(): boolean;
    /** Connects, and goes on doing so after a loss, until disconnect. */
    connect(): this;
    disconnect(): this;
    /**
     * Emits an event. A function as last argument is called with the acknowledgement. Without a connection the
     * event waits for one.
     */
    emit<E extends EventNames<EmitEvents>>(event: E, ...args: EventParams<EmitEvents, E>): this;
    /** Emits an event and promises the acknowledgement, whose first argument it resolves to. */
    emitWithAck<E extends EventNames<EmitEvents>>(event: E, ...args: AllButLast<EventParams<EmitEvents, E>>): Promise<AckValue<Last<EventParams<EmitEvents, E>>>>;
    /** Emits the event "message". */
    send(...args: any[]): this;
    /** Whether the next event may be compressed. Browsers decide that for themselves; kept for compatibility. */
    compress(compress: boolean): this;
    /** The next event is dropped if it cannot leave at once. */
    get volatile(): this;
    /** How long to wait for the acknowledgement of the next event, in ms; its callback gets an error first. */
    timeout(ms: number): Socket<ListenEvents, DecorateAcknowledgements<EmitEvents>>;
    /** Listens to every event, whatever its name; the name is the first argument. */
    onAny(listener: AnyListener): this;
    /** Listens to every event, before those who do so already. */
    prependAny(listener: AnyListener): this;
    /** Removes a catch-all listener, or all of them. */
    offAny(listener?: AnyListener): this;
    listenersAny(): AnyListener[];
    /** Listens to every event that is sent, when it is. Acknowledgements are not events. */
    onAnyOutgoing(listener: AnyListener): this;
    prependAnyOutgoing(listener: AnyListener): this;
    offAnyOutgoing(listener?: AnyListener): this;
    listenersAnyOutgoing(): AnyListener[];
    /** An event came in. */
    /** An event goes out. */
    /** Wants no connection any more. */
    /** The function with which a listener acknowledges an event, once. */
    /** Registers the callback for the acknowledgement of a packet. */
    /** Queues an event that is sent until it is acknowledged. */
    /** Sends the first event of the queue, unless it is under way. */
}
interface Socket<ListenEvents extends EventsMap, EmitEvents extends EventsMap> {
    open: this["connect"];
    close: this["disconnect"];
}

/** The events of a Manager. */
interface ManagerEvents {
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
declare class Manager extends Emitter<ManagerEvents & {
    [event: string]: any;
}> {
    readonly uri?: string;
    /** The options, which count again with every new connection. */
    readonly opts: Settings;
    readonly nsps: Record<string, Socket<any, any>>;
    /** The connection, or the last one. */
    engine: Engine;
    /** What was tried so far and how it went, the oldest first, at most 100 entries. */
    readonly transports: TransportAttempt[];
    /** The engine that may speak to us. One that was given up may still be sending its last packets. */
    constructor(opts?: ManagerOptions);
    /** @param uri the server's address; without it the page's own server */
    constructor(uri?: string, opts?: ManagerOptions);
    /** The name of the transport in use, undefined while there is no connection. */
    get transport(): string | undefined;
    /** Calls back for every new entry of transports. The result stops that. */
    onTransport(callback: (attempt: TransportAttempt) => void): () => void;
    /** Opens the connection, unless it is open or being opened. The callback is told how that went. */
    open(callback?: (err?: Error) => void): this;
    /** The socket of a namespace, the same one every time. */
    socket(nsp: string, opts?: SocketOptions): Socket;
    /** The sockets that want to be connected. */
    /** Gives up the engine. */
    /** The next delay: twice the last, a random part of it more or less, never more than the longest. */
}
type Setting<K extends keyof typeof defaults> = {
    (): Settings[K];
    (value: Settings[K]): Manager;
};
/** Each setting is a method, too: without an argument it answers the value, with one it changes it. */
interface Manager {
    connect: Manager["open"];
    attemptTimeout: Setting<"attemptTimeout">;
    reconnection: Setting<"reconnection">;
    reconnectionAttempts: Setting<"reconnectionAttempts">;
    reconnectionDelay: Setting<"reconnectionDelay">;
    reconnectionDelayMax: Setting<"reconnectionDelayMax">;
    randomizationFactor: Setting<"randomizationFactor">;
    timeout: Setting<"timeout">;
}

/**
 * The transports by name. A transport of your own is a class that extends Transport:
 *
 *     transports.webtransport = MyWebTransport;
 *     io({ transports: ["webtransport", "websocket", "polling"] });
 */
declare const transports: Record<string, TransportFactory>;

/**
 * Connects to a namespace of a server. Sockets of different namespaces share a connection, unless the options
 * forbid it.
 *
 * @param uri the address of the server and the namespace in it: "https://example.com/admin", "/admin", or nothing
 * for the page's own server
 */
declare function io<L extends EventsMap = DefaultEventsMap, E extends EventsMap = L>(uri?: string, opts?: Options): Socket<L, E>;
declare function io<L extends EventsMap = DefaultEventsMap, E extends EventsMap = L>(opts?: Options): Socket<L, E>;

export { DisconnectDetails, DisconnectReason, Engine, Manager, ManagerOptions, Options, Socket, SocketOptions, Transport, TransportAttempt, TransportError, TransportFactory, TransportHost, io, io as connect, io as default, protocol, transports };

declare global {
  /** The client as the classic script leaves it. */
  var io: typeof import("./socket.io").io & typeof import("./socket.io");
}
