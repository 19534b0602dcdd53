// Writes msgpack.json, what the published msgpack parser writes for many packets, with the same packet in JSON:
//
//	npm i socket.io-msgpack-parser@3.0.2 && node msgpack_vectors.mjs > msgpack.json
//
// Whole numbers of 2^64 and more are not among them: it writes a wrong number for them, we a floating point one.
// Binary appears as {hex}. "exact" is set where we write the very same bytes.
import { createRequire } from "node:module";
const { Encoder, Decoder } = createRequire(import.meta.url)("socket.io-msgpack-parser");

const b = (s) => Buffer.from(s, "hex");
const hex = (v) => {
  if (v instanceof Uint8Array) return { hex: Buffer.from(v.buffer, v.byteOffset, v.length).toString("hex") };
  if (v instanceof ArrayBuffer) return { hex: Buffer.from(v).toString("hex") };
  if (v instanceof Date) return v.toJSON();
  if (Array.isArray(v)) return v.map((x) => hex(x) ?? null);
  if (v && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, hex(x) ?? null]));
  return v;
};
const exact = [
  { type: 0, data: { sid: "x" }, nsp: "/" }, { type: 0, nsp: "/a" }, { type: 1, nsp: "/" }, { type: 4, data: { message: "no" }, nsp: "/a" },
  { type: 4, data: "no", nsp: "/" }, { type: 2, data: ["hello", "you"], nsp: "/" }, { type: 2, data: ["e"], id: 0, nsp: "/" },
  { type: 2, data: ["e", null, true, false], id: 127, nsp: "/" }, { type: 3, data: [], id: 128, nsp: "/a" }, { type: 3, data: ["x"], id: 70000, nsp: "/" },
  { type: 2, data: ["e", 0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991], nsp: "/" },
  { type: 2, data: ["e", -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -9007199254740991], nsp: "/" },
  { type: 2, data: ["e", 1.5, -0.1, 1e-7, 5e-324], nsp: "/" },
  { type: 2, data: ["e", "", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256), "é€😀\u0000\"\\\n"], nsp: "/" },
  { type: 2, data: ["e", b("010203"), { a: b("") }, [[b("00".repeat(256))]]], nsp: "/" }, { type: 3, data: [b("01"), b("01")], id: 1, nsp: "/" },
  { type: 2, data: ["e", ...Array(12).fill(b("01"))], nsp: "/" },
  { type: 2, data: ["e", [], {}, [[[]]], { a: { b: {} } }], nsp: "/" },
  { type: 2, data: ["e", Array(14).fill(0), Array(15).fill(0), Array(16).fill(0)], nsp: "/" },
  { type: 2, data: ["e", Object.fromEntries(Array.from({ length: 15 }, (_, i) => ["k" + i, i])), Object.fromEntries(Array.from({ length: 17 }, (_, i) => ["k" + i, [i]]))], nsp: "/" },
  { type: 2, data: ["e", ...Array(15).fill(1)], nsp: "/" },
];
const other = [
  { type: 0, data: undefined, nsp: "/" }, { type: 0, data: { sid: "x", pid: undefined }, nsp: "/" },
  { type: 2, data: ["x", "y"], options: { compress: true }, id: 0, nsp: "/" }, { id: 3, type: 3, data: [1], nsp: "/a" },
  { nsp: "/", id: undefined, type: 2, data: ["e", undefined, { a: undefined }] }, { type: 2, data: [5, 1], nsp: "/" },
  { type: 2, data: ["e", new Date(0), new Date(1767225600123), new Date(-1), new Date(-1500)], nsp: "/" },
  { type: 2, data: ["e", new Uint8Array([9]), new Uint8Array([9, 8]).buffer, new Uint8Array(300)], nsp: "/" },
  { type: 2, data: ["e", NaN, Infinity, -0], nsp: "/" }, { type: 2, data: ["e", 1e15, 2 ** 60], nsp: "/" },
];
const refused = [
  { type: 5, data: ["e"], nsp: "/" }, { type: -1, nsp: "/" }, { type: "2", data: ["e"], nsp: "/" }, { data: ["e"], nsp: "/" }, { type: 2, nsp: "/" },
  { type: 2, data: { a: 1 }, nsp: "/" }, { type: 2, data: ["e"] }, { type: 2, data: ["e"], nsp: 1 }, { type: 2, data: ["e"], nsp: "/", id: "1" },
  { type: 2, data: ["e"], nsp: "/", id: 1.5 }, { type: 0, data: [], nsp: "/" }, { type: 0, data: "x", nsp: "/" }, { type: 1, data: {}, nsp: "/" },
  { type: 4, data: [], nsp: "/" }, { type: 4, nsp: "/" }, { type: 3, nsp: "/", id: 1 }, { type: 3, data: null, id: 1, nsp: "/" }, [], "x", 1,
];
const encode = (p) => new Encoder().encode(p)[0];
const vectors = [
  ...exact.map((p) => ({ exact: true, wire: encode(p).toString("hex"), packet: hex(p) })),
  ...other.map((p) => ({ wire: encode(p).toString("hex"), packet: hex(p) })),
  ...refused.map((p) => {
    const wire = encode(p);
    try {
      new Decoder().add(wire);
    } catch (e) {
      return { error: e.message, wire: wire.toString("hex") };
    }
    throw new Error("not refused: " + JSON.stringify(p));
  }),
];
console.log("[\n" + vectors.map((v) => "  " + JSON.stringify(v)).join(",\n") + "\n]");
