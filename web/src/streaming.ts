import { separator } from "./frame";
import { PollingTransport } from "./polling";
import { TransportError } from "./transport";

const canStream = typeof Response !== "undefined" && "body" in Response.prototype;

/**
 * A GET whose response stays open and carries packet after packet; what leaves goes by POST, as in polling.
 * The server ends a response from time to time, and the next GET goes on where it ended. Where fetch cannot
 * hand out a response piece by piece, Server-Sent Events do the same.
 */
export class StreamingTransport extends PollingTransport {
  override get trailing(): boolean {
    return this._receiving;
  }

  protected override _mayTrail(): boolean {
    return true;
  }

  protected override async _read(): Promise<void> {
    const records = await (this.options.eventSource || !canStream ? this._readEvents() : this._readBody());
    // Without this a server, or something in front of it, that ends every response could keep us asking for ever.
    if (!records) throw new TransportError("empty stream");
  }

  private async _readBody() {
    const response = await this._fetch();
    this.host.opened(this);
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let records = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + decoder.decode(value, { stream: true })).split(separator);
      rest = parts.pop()!;
      records += parts.length;
      for (const part of parts) this._take(part);
    }
    if (rest) throw new TransportError("stream cut short");
    return records;
  }

  private _readEvents() {
    return new Promise<number>((resolve) => {
      const source = new EventSource(this.host.url(this, "http"), { withCredentials: !!this.options.withCredentials });
      let records = 0;
      const take = (text: string) => {
        records++;
        this._take(text);
      };
      const close = () => {
        source.close();
        resolve(records);
      };
      source.onopen = () => this.host.opened(this);
      source.onmessage = (event) => take(event.data);
      // Text that an event stream cannot carry comes with its %, CR, LF and NUL percent-encoded.
      source.addEventListener("e", (event) => take(decodeURIComponent((event as MessageEvent).data)));
      // It would reconnect by itself, to an address that is no longer the right one.
      source.onerror = close;
      this._aborter.signal.addEventListener("abort", close);
    });
  }
}
