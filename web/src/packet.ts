import { type Binary, isBinary } from "./binary";
import { Emitter } from "./emitter";

/** The version of the Socket.IO protocol. */
export const protocol = 5;

export const enum PacketType {
  Connect,
  Disconnect,
  Event,
  Ack,
  ConnectError,
  BinaryEvent,
  BinaryAck,
}

/** One Socket.IO packet. */
export interface Packet {
  type: PacketType;
  nsp: string;
  id?: number;
  data?: any;
  options?: { compress?: boolean };
}

export const reserved = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/** Turns a packet into one text message and the binary messages that follow it. */
export class Encoder {
  encode({ type, nsp, id, data }: Packet): (string | Binary)[] {
    const attachments: Binary[] = [];
    const json =
      data === undefined
        ? ""
        : JSON.stringify(data, function (this: any, key, value) {
            // this[key] is the value before its toJSON, which Node's Buffer has.
            const raw = this[key];
            return isBinary(raw) ? { "_placeholder": true, num: attachments.push(raw) - 1 } : value;
          });
    const n = attachments.length;
    return [
      (n && type < PacketType.ConnectError ? type + 3 + (n + "-") : type + "") +
        (nsp && nsp !== "/" ? nsp + "," : "") +
        (id ?? "") +
        json,
      ...attachments,
    ];
  }
}

const header = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),|(\/.*)$)?(\d*)/;

/** Puts packets together again and fires "decoded" for each. Throws on a message that is not one. */
export class Decoder extends Emitter {
  private _packet?: Packet;
  private _json = "";
  private _missing = 0;
  private _attachments: Binary[] = [];

  add(message: any): void {
    if (typeof message === "string") {
      if (this._packet) throw new Error("attachment expected");
      const m = header.exec(message);
      if (!m) throw new Error("invalid packet");
      const type = +m[1];
      const binary = type > PacketType.ConnectError;
      if (binary !== +m[2] > 0) throw new Error("invalid packet");
      this._missing = +m[2] || 0;
      this._json = message.slice(m[0].length);
      this._packet = {
        type: binary ? type - 3 : type,
        nsp: m[3] || m[4] || "/",
        id: m[5] ? +m[5] : undefined,
      };
    } else {
      if (!this._packet) throw new Error("unexpected attachment");
      this._attachments.push(message);
      this._missing--;
    }
    if (!this._missing) this._finish();
  }

  /** Forgets a packet of which only a part arrived. */
  destroy(): void {
    this._packet = undefined;
    this._attachments = [];
  }

  private _finish() {
    const packet = this._packet!;
    const attachments = this._attachments;
    this.destroy();
    const data = (packet.data = this._json
      ? JSON.parse(this._json, (_, value) => {
          if (!attachments.length || value?.["_placeholder"] !== true) return value;
          if (!(value.num in attachments) || typeof value.num !== "number") throw new Error("invalid attachment");
          return attachments[value.num];
        })
      : undefined);
    const object = data && typeof data === "object";
    const list = Array.isArray(data);
    const ok = [
      data === undefined || (object && !list),
      data === undefined,
      list && (typeof data[0] === "number" || (typeof data[0] === "string" && !reserved.includes(data[0]))),
      list,
      object || typeof data === "string",
    ][packet.type];
    if (!ok) throw new Error("invalid packet");
    this._fire("decoded", packet);
  }
}
