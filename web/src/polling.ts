import { isBlob, textSize } from "./binary";
import { decodeFrame, encodeFrame, type Frame, separator, Type } from "./frame";
import { type EndReason, Transport, TransportError } from "./transport";

/** Some servers, in other languages than Node's, refuse or drop what goes beyond this many packets. */
const maxPackets = 16;

/** Packets as bodies of requests: POST for those that leave, a GET that the server holds for those that come. */
export class PollingTransport extends Transport {
  override readonly batches: boolean = true;
  protected _receiving = false;
  protected _aborter = new AbortController();
  private _ended = false;
  private _paused?: () => void;

  open(): void {
    this._receive();
  }

  override fit(frames: Frame[]): number {
    let bytes = -1;
    const n = frames.findIndex(({ data }, i) => {
      bytes += 2 + textSize(data);
      return i && (i >= maxPackets || bytes > this.host.maxPayload);
    });
    return n < 0 ? frames.length : n;
  }

  override send(frames: Frame[]): void {
    this.ready = false;
    this._post(frames).then(
      () => {
        this.ready = true;
        this._quiet();
        if (!this._ended) this.host.drained(this);
      },
      (err) => this._end("transport error", err),
    );
  }

  override pause(done: () => void): void {
    this._paused = done;
    this._quiet();
  }

  override close(last?: Frame[]): void {
    this._ended = true;
    const abort = () => this._aborter.abort();
    // The GET goes after the POST has arrived: a server that sees it vanish takes that for an error.
    if (last && this.host.id) this._post([...last, { type: Type.Close }], true).then(abort, abort);
    else abort();
  }

  /** Carries out one request for packets. */
  protected async _read(): Promise<void> {
    for (const part of (await (await this._fetch()).text()).split(separator)) this._take(part);
  }

  /** Whether packets may come on another transport while this one is still reading. */
  protected _mayTrail(): boolean {
    return false;
  }

  protected _take(text: string): void {
    if (this._ended) return;
    let frame: Frame;
    try {
      frame = decodeFrame(text);
    } catch (err) {
      return this._end("parse error", err);
    }
    this.host.received(this, frame);
  }

  protected async _fetch(init?: RequestInit): Promise<Response> {
    const { extraHeaders, withCredentials } = this.options;
    const response = await fetch(this.host.url(this, "http"), {
      cache: "no-store",
      credentials: withCredentials ? "include" : "same-origin",
      headers: extraHeaders,
      signal: this._aborter.signal,
      ...init,
    });
    if (!response.ok) {
      const text = await response.text();
      const said = /"message":"([^"]*)"/.exec(text);
      throw new TransportError(`HTTP ${response.status}${said ? " " + said[1] : ""}`, response.status, response);
    }
    return response;
  }

  private async _receive() {
    try {
      while (!this._ended && !this._paused) {
        this._receiving = true;
        await this._read();
        this._receiving = false;
      }
      this._quiet();
    } catch (err) {
      this._end("transport error", err);
    }
  }

  private async _post(frames: Frame[], keepalive?: boolean) {
    if (frames.some((f) => isBlob(f.data))) {
      frames = await Promise.all(
        frames.map(async (f) => (isBlob(f.data) ? { type: f.type, data: await f.data.arrayBuffer() } : f)),
      );
    }
    const body = frames.map(encodeFrame).join(separator);
    await (await this._fetch({ method: "POST", body, keepalive })).text();
  }

  /** Grants the pause when nothing is under way any more. */
  private _quiet() {
    if (!this._paused || !this.ready || this._ended) return;
    if (!this._receiving || this._mayTrail()) {
      const done = this._paused;
      this._paused = () => {};
      done();
    }
    if (!this._receiving) this._end("transport close", undefined);
  }

  private _end(reason: EndReason, description: unknown) {
    if (this._ended) return;
    this._ended = true;
    this._aborter.abort();
    this.host.ended(this, reason, description);
  }
}
