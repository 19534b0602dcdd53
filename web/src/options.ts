import type { Decoder, Encoder } from "./packet";

/** What concerns one connection to a server. */
export interface EngineOptions {
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

export interface ManagerOptions extends EngineOptions {
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
  parser?: { Encoder: new () => Pick<Encoder, "encode">; Decoder: new () => Pick<Decoder, "add" | "on" | "destroy"> };
}

/** The options that have a value in any case. */
export const defaults = {
  attemptTimeout: 4000,
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  randomizationFactor: 0.5,
  timeout: 20000 as number | false,
};

export type Settings = ManagerOptions & typeof defaults;

export type AuthData = { [key: string]: any };

export interface SocketOptions {
  /** Sent to the server with every connect: an object, or a function that is given a callback for one. */
  auth?: AuthData | ((send: (data: AuthData) => void) => void);
  /** How often an emitted event is sent again until it is acknowledged. Default: not at all, no queue. */
  retries?: number;
  /** How long to wait for acknowledgements, in ms, unless timeout() says otherwise. Default: for ever. */
  ackTimeout?: number;
}

export interface Options extends ManagerOptions, SocketOptions {
  /** Whether to open a connection of its own. Default: false. */
  forceNew?: boolean;
  /** Whether namespaces of the same server share a connection. Default: true. */
  multiplex?: boolean;
}
