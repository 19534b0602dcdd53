import { Manager } from "./manager";
import type { Options } from "./options";
import type { Socket } from "./socket";
import type { DefaultEventsMap, EventsMap } from "./emitter";
import { parseAddress } from "./url";

const managers: Record<string, Manager> = {};

/**
 * Connects to a namespace of a server. Sockets of different namespaces share a connection, unless the options
 * forbid it.
 *
 * @param uri the address of the server and the namespace in it: "https://example.com/admin", "/admin", or nothing
 * for the page's own server
 */
export function io<L extends EventsMap = DefaultEventsMap, E extends EventsMap = L>(
  uri?: string,
  opts?: Options,
): Socket<L, E>;
export function io<L extends EventsMap = DefaultEventsMap, E extends EventsMap = L>(opts?: Options): Socket<L, E>;
export function io(uri?: string | Options, opts?: Options): Socket<any, any> {
  if (uri && typeof uri === "object") [uri, opts] = [undefined, uri];
  opts ||= {};
  const { origin, namespace, query } = parseAddress(uri as string | undefined);
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

export { io as connect, io as default, Manager };
export { Socket, type DisconnectDetails, type DisconnectReason } from "./socket";
export { protocol } from "./packet";
export { transports } from "./registry";
export { Transport, TransportError, type TransportFactory, type TransportHost } from "./transport";
export type { Engine, TransportAttempt } from "./engine";
export type { ManagerOptions, Options, SocketOptions } from "./options";
