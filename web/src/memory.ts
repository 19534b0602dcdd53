/** What is known about the way to one server, for all connections to it. */
export interface Memory {
  /** The transport that worked after those before it did not. */
  transport?: string;
  /** How often something has to be sent, in ms, lest the network cuts the connection. */
  heartbeat?: number;
  /** When this was learned: networks change. */
  at: number;
  /** How long the last connection that broke had been silent, in ms. */
  idle?: number;
  /** Whether a WebSocket to the server ever opened. */
  worked?: boolean;
}

const lifetime = 600_000;
const memories: Record<string, Memory> = {};
const prefix = "sockeye:";

/** The memory for a server, by its address. What is too old is forgotten. */
export function recall(key: string): Memory {
  let memory = memories[key];
  if (!memory) {
    try {
      memory = JSON.parse(sessionStorage.getItem(prefix + key)!);
    } catch {
      // There is no storage here, or it is closed to us. Then this page's memory has to do.
    }
    memory ||= { at: 0 };
  }
  if (!(Date.now() - memory.at < lifetime)) memory.transport = memory.heartbeat = undefined;
  return (memories[key] = memory);
}

/** Keeps the memory, and if it may be stored, also for the next page of this tab. */
export function keep(key: string, store: boolean): void {
  const memory = memories[key];
  memory.at = Date.now();
  if (!store) return;
  try {
    sessionStorage.setItem(prefix + key, JSON.stringify(memory));
  } catch {
    // As above.
  }
}

/** Forgets what the network in use until now was like. */
export function forget(key: string): void {
  memories[key].at = 0;
}
