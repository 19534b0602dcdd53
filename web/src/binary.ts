/** What travels as a binary attachment. A File is a Blob. */
export type Binary = ArrayBuffer | ArrayBufferView | Blob;

/** Tells binary values from others, those of another frame of the page included. */
export function isBinary(value: unknown): value is Binary {
  return ArrayBuffer.isView(value) || /^\[object (ArrayBuffer|Blob|File)]$/.test(Object.prototype.toString.call(value));
}

export function isBlob(value: unknown): value is Blob {
  return isBinary(value) && !ArrayBuffer.isView(value) && "size" in value;
}

/** The number of bytes of a message on the wire of a transport that is text only. */
export function textSize(data: string | Binary = ""): number {
  return typeof data === "string"
    ? new TextEncoder().encode(data).length
    : Math.ceil((isBlob(data) ? data.size : data.byteLength) / 3) * 4;
}

export function toBase64(data: ArrayBuffer | ArrayBufferView): string {
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
  let text = "";
  // In pieces: every byte is an argument of the call, and calls have a limit on those.
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Throws when text is not base64. */
export function fromBase64(text: string): ArrayBuffer {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
}
