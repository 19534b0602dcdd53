import type { EngineOptions } from "./options";
import type { Frame } from "./frame";

/** Why a transport ended. */
export type EndReason = "transport error" | "transport close" | "parse error";

/** A failure of a transport, or of all of them. */
export class TransportError extends Error {
  readonly type = "TransportError";

  /**
   * @param description the HTTP status, or what the browser said
   * @param context the Response, CloseEvent or other object at hand
   */
  constructor(
    message: string,
    readonly description?: unknown,
    readonly context?: unknown,
  ) {
    super(message);
  }
}

/** What a transport may ask of, and must tell, the engine it works for. */
export interface TransportHost {
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
export abstract class Transport {
  /** Whether send may be called. The engine sets it first, a transport that is busy clears it for that time. */
  ready = false;
  /** Whether packets sent in one go travel together, so that waiting for more of them pays. */
  readonly batches: boolean = false;
  /** Whether packets can still arrive after pause was granted, until the transport has ended. */
  get trailing(): boolean {
    return false;
  }

  constructor(
    readonly name: string,
    protected readonly host: TransportHost,
    protected readonly options: EngineOptions,
  ) {}

  /** Whether a packet sent now would leave at once, instead of waiting behind others. */
  get writable(): boolean {
    return this.ready;
  }

  /** Begins the handshake, or, when the host has a session, the way to an upgrade. */
  abstract open(): void;

  /** Sends packets, in order. Only called while ready, and with no more than fit allows. */
  abstract send(frames: Frame[]): void;

  /** How many of these packets one send may take: at least one. */
  fit(frames: Frame[]): number {
    return frames.length;
  }

  /** Stops reading, so that another transport can take over, and calls done when the last packet is through. */
  pause(done: () => void): void {
    done();
  }

  /**
   * Ends the transport without a word to the host. With last, the server is told that the session is over,
   * after these packets.
   */
  abstract close(last?: Frame[]): void;
}

export type TransportFactory = new (name: string, host: TransportHost, options: EngineOptions) => Transport;
