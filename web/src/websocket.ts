import { decodeFrame, type Frame, Type } from "./frame";
import { Transport, TransportError } from "./transport";

/** Packets as WebSocket messages: text with the type in front, binary messages as they are. */
export class WebSocketTransport extends Transport {
  private _ws!: WebSocket;

  open(): void {
    const { host } = this;
    if (typeof WebSocket === "undefined") return host.ended(this, "transport error", new TransportError("no WebSocket here"));
    let ws: WebSocket;
    try {
      ws = this._ws = new WebSocket(host.url(this, "ws"), this.options.protocols || []);
    } catch (err) {
      return host.ended(this, "transport error", err);
    }
    ws.binaryType = "arraybuffer";
    ws.onopen = () => host.opened(this);
    ws.onmessage = ({ data }) => {
      let frame: Frame;
      try {
        frame = typeof data === "string" ? decodeFrame(data) : { type: Type.Message, data };
      } catch (err) {
        return host.ended(this, "parse error", err);
      }
      host.received(this, frame);
    };
    ws.onerror = (event) => host.ended(this, "transport error", new TransportError("websocket error", event));
    ws.onclose = (context) =>
      host.ended(this, "transport close", { description: "websocket connection closed", context });
  }

  override get writable(): boolean {
    return this.ready && !this._ws.bufferedAmount;
  }

  override send(frames: Frame[]): void {
    for (const { type, data = "" } of frames) {
      this._ws.send(typeof data === "string" ? type + data : (data as ArrayBuffer));
    }
  }

  override close(last?: Frame[]): void {
    const ws = this._ws;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onerror = ws.onclose = () => {};
    if (last && ws.readyState === 1) this.send(last);
    ws.close();
  }
}
