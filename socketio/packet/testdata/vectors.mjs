// Writes parser.json, what the published parser makes of many inputs, and what it writes for many packets:
//
//	npm i socket.io-parser@4.2.7 && node vectors.mjs > parser.json
//
// Frames are strings, or {hex} for binary ones. Binary inside a decoded packet appears as {hex}, too.
import { Decoder, Encoder } from "socket.io-parser";

const bin = (hex) => ({ hex });
const decode = [
  // ordinary packets
  ["0"], ["0{}"], ['0{"token":"abc"}'], ["0/admin,"], ['0/admin,{"a":1}'], ["0/admin"], ["1"], ["1/admin,"], ["1/admin"],
  ['2["echo","x"]'], ['2["e"]'], ['20["e"]'], ['2123["e",1]'], ['2/a,["e"]'], ['2/a,7["e",{"a":[1,2,null]}]'],
  ['2/,["e"]'], ['2/a/b?c=d,["e"]'], ["3[]"], ["30[]"], ["312[true]"], ['3/a,12["x"]'], ['4"bad"'], ['4{"message":"x"}'],
  ['4/a,{"message":"x","data":{"code":1}}'], ["4"], ["2[1]"], ["2[1.5,2]"], ["2[1.0]"], ["2[-3]"], ['2[""]'], ['2["error"]'],
  ['2["e", 1 , { "a" : [ ] } ]'], ['2["e"] '], ['2["e"]\n'], ['2["\\u00e9\\n\\t\\"\\\\\\/"]'], ['2["é€😀"]'],
  ['2["\\ud83d\\ude00"]'], ['2["e",1e3,-0,0.1,1E-7,1e21]'], ['2["e",123456789012345678901234567890]'],
  ['01{"a":1}'], ["11"], ['41"x"'], ["00"],
  // binary
  ['51-["e",{"_placeholder":true,"num":0}]', bin("010203")],
  ['51-/a,12["e",{"_placeholder":true,"num":0}]', bin("ff")],
  ['52-["e",{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]}]', bin("00"), bin("01")],
  ['61-3[{"_placeholder":true,"num":0}]', bin("")],
  ['61-/a,3[{"_placeholder":true,"num":0}]', bin("aa")],
  ['51-["e",{"num":0,"_placeholder":true,"extra":1}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', bin("01")],
  ['51-["e",{"_placeholder":false,"num":0}]', bin("01")],
  ['51-["e",{"_placeholder":1,"num":0}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":5,"num":0}]', bin("01")],
  ['51-["e",{"_placeholder":true,"_placeholder":false,"num":0}]', bin("01")],
  ['51-["e",{"_pl\\u0061ceholder":true,"num":0}]', bin("01")],
  ['51-["e"]', bin("01")],
  ['2["e",{"_placeholder":true,"num":0}]'],
  ['5001-["e",{"_placeholder":true,"num":0}]', bin("01")],
  ['510-["e"]', ...Array(10).fill(bin("01"))],
  // refused
  [""], ["7"], ["9[]"], ["a"], ["-1"], ["{}"], [" 2[]"],
  ["0[]"], ["0null"], ["0true"], ['0"x"'], ["01"], ["0{"], ["1{}"], ["1[]"], ["4[]"], ["4null"], ["4true"], ["42"],
  ["2[]"], ["2{}"], ['2"e"'], ["2null"], ["2[null]"], ["2[true]"], ["2[{}]"], ["2[[]]"], ['2[{"toString":"foo"}]'],
  ['2["connect"]'], ['2["connect_error"]'], ['2["disconnect"]'], ['2["disconnecting"]'], ['2["newListener"]'],
  ['2["removeListener"]'], ['2["conn\\u0065ct"]'], ['51-["disconnect"]'],
  ['2["e"'], ['2["e",]'], ['2["e",1,]'], ['2["e"]]'], ['2["e"]x'], ["2[e]"], ["2['e']"], ['2["e",01]'], ['2["e",+1]'], ['2["e",.5]'],
  ['2["e",1.]'], ['2["e",1e]'], ['2["e",0x1]'], ['2["e",NaN]'], ['2["e",Infinity]'], ['2["e",undefined]'], ['2["e",tru]'],
  ['2["e",{a:1}]'], ['2["e",{"a"}]'], ['2["e",{"a":}]'], ['2["e",{"a":1,}]'], ['2["e",{,}]'], ['2["\n"]'], ['2["\t"]'],
  ['2["\\x"]'], ['2["\\u12"]'], ['2["\\u12g4"]'], ['2["\u0000"]'], ['2["e'], ['2["e\\'], ['2["e",-]'], ['2["e",--1]'],
  ["3{}"], ["3null"], ['3"x"'], ["6"], ["5"], ["51"], ["5-[]"], ['50-["x"]'], ["5-1-[]"], ['51.5-["x"]'], ['5x-["x"]'], ['511-["x"]'],
  ['5999999999999999999999-["x"]'], ['51["x"]'], ['551["x"]'], ["60-[]"], ["61-{}"], ['51-{"a":1}'], ["51-"], ["5/a,1-[]"],
  ['51-["e",{"_placeholder":true,"num":1}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":-1}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":"splice"}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":"0"}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":null}]', bin("01")],
  ['51-["e",{"_placeholder":true}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":[0]}]', bin("01")],
  ['61-[{"_placeholder":true,"num":9}]', bin("01")],
  [bin("01")], ['2["e"]', bin("01")], ['51-["e"]', '2["e"]'], ['51-["e"]', bin("01"), bin("02")],
  ["2/a"], ['2/a["e"]'], ['2/a["e","x"]'], ["2a,[]"],
  // where we are stricter on purpose
  ["2"], ["3"], ["212"], ["312"], ['2 ["e"]'], ['2\n["e"]'], ['21 2["e"]'], ['5 1-["e"]', bin("01")], ['51e0-["e"]', bin("01")],
  ['5+1-["e"]', bin("01")], ['51.0-["e"]', bin("01")], ['5\t1-["e"]', bin("01")], ['50x1-["e"]', bin("01")],
  ['299999999999999999999999["e"]'],
  ['51-["e",{"_placeholder":true,"num":0.5}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":0.0}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":0e0}]', bin("01")],
  ['51-["e",{"_placeholder":true,"num":-0}]', bin("01")],
];

const hex = (v) => {
  if (v instanceof Uint8Array) return bin(Buffer.from(v).toString("hex"));
  if (Array.isArray(v)) return v.map(hex);
  if (v && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, hex(x)]));
  return v;
};
const frame = (f) => (typeof f === "string" ? f : Buffer.from(f.hex, "hex"));

const decoded = decode.map((frames) => {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", ({ type, nsp, id, data }) => packets.push(hex({ type, nsp, id, data })));
  try {
    for (const f of frames) decoder.add(frame(f));
  } catch (e) {
    return { frames, error: e.message, packets };
  }
  return { frames, packets };
});

const b = (s) => Buffer.from(s, "hex");
const encode = [
  { type: 0, nsp: "/" }, { type: 0, nsp: "/a" }, { type: 0, nsp: "/", data: { sid: "x" } }, { type: 1, nsp: "/" }, { type: 1, nsp: "/a" },
  { type: 4, nsp: "/a", data: { message: "no" } }, { type: 4, nsp: "/", data: "no" },
  { type: 2, nsp: "/", data: ["e"] }, { type: 2, nsp: "/", data: ["e", "x", 1, -1, 1.5, true, false, null] },
  { type: 2, nsp: "/a/b", id: 0, data: ["e"] }, { type: 2, nsp: "/", id: 12, data: ["e", { a: [1] }] },
  { type: 3, nsp: "/", id: 3, data: [] }, { type: 3, nsp: "/a", id: 3, data: ["x"] },
  { type: 2, nsp: "/", data: ["é€😀<>&\u2028\u0000\u001f\u007f\"\\/\b\f\n\r\t"] },
  { type: 2, nsp: "/", data: ["e", 1e21, 1e20, 1e-6, 1e-7, 123456789.125, 0.1, 5e-324, 1.7976931348623157e308, 9007199254740993, -0, 1e100] },
  { type: 2, nsp: "/", data: ["e", b("010203")] }, { type: 2, nsp: "/a", id: 7, data: ["e", b(""), { a: b("01") }, [[b("02")]]] },
  { type: 3, nsp: "/a", id: 7, data: [b("01"), b("01")] }, { type: 3, nsp: "/", id: 70, data: [{ a: { b: [b("05")] } }] },
  { type: 2, nsp: "/", data: ["e", ...Array(12).fill(b("01"))] },
];
const encoded = encode.map((packet) => ({ packet: hex(packet), frames: new Encoder().encode(packet).map(hex) }));

const lines = (list) => list.map((x) => "    " + JSON.stringify(x)).join(",\n");
console.log(`{\n  "decode": [\n${lines(decoded)}\n  ],\n  "encode": [\n${lines(encoded)}\n  ]\n}`);
