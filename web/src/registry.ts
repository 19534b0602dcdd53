import { PollingTransport } from "./polling";
import { StreamingTransport } from "./streaming";
import type { TransportFactory } from "./transport";
import { WebSocketTransport } from "./websocket";

/**
 * The transports by name. A transport of your own is a class that extends Transport:
 *
 *     transports.webtransport = MyWebTransport;
 *     io({ transports: ["webtransport", "websocket", "polling"] });
 */
export const transports: Record<string, TransportFactory> = {
  websocket: WebSocketTransport,
  polling: PollingTransport,
  streaming: StreamingTransport,
};
