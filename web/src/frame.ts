import { type Binary, fromBase64, toBase64 } from "./binary";

/** The types of Engine.IO packets. */
export const enum Type {
  Open,
  Close,
  Ping,
  Pong,
  Message,
  Upgrade,
  Noop,
}

/** The names of the packet types, for those who watch them. */
export const typeNames = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

/** One Engine.IO packet. Only a message can be binary. */
export interface Frame {
  type: Type;
  data?: string | Binary;
}

/** Stands between the packets of a payload, and after every packet of a stream. */
export const separator = "\x1e";

/** The text form of a packet whose data is not a Blob. */
export function encodeFrame({ type, data = "" }: Frame): string {
  return typeof data === "string" ? type + data : "b" + toBase64(data as ArrayBuffer);
}

/** Reads the text form of a packet. Throws when it is none. */
export function decodeFrame(text: string): Frame {
  if (text[0] === "b") return { type: Type.Message, data: fromBase64(text.slice(1)) };
  if (!/^[0-6]/.test(text)) throw new Error("invalid packet");
  return { type: +text[0], data: text.slice(1) };
}
