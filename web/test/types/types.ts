// What must type-check for a user of the declarations, and what must not.

import io, { Manager, type Options, Socket, Transport, transports } from "../../dist/socket.io";

interface FromServer {
  news: (text: string) => void;
}
interface FromClient {
  add: (a: number, b: number, ack: (sum: number) => void) => void;
  say: (text: string) => void;
}

const options: Options = { auth: { token: "t" }, transports: ["polling", "websocket"], retries: 3, timeout: false };
const socket: Socket<FromServer, FromClient> = io("https://example.com", options);
socket.on("news", (text) => text.toUpperCase());
socket.on("connect_error", (err) => err.data ?? err.message);
socket.on("disconnect", (reason, details) => reason === "ping timeout" && details);
socket.emit("say", "x");
socket.emit("add", 1, 2, (sum) => sum.toFixed());
socket.timeout(5).emit("add", 1, 2, (err, sum) => err.message + sum.toFixed());
export const sums: Promise<number>[] = [
  socket.emitWithAck("add", 1, 2),
  socket.timeout(100).emitWithAck("add", 1, 2),
];
// @ts-expect-error: there is no such event
socket.emit("nope");
// @ts-expect-error: a wrong argument
socket.emit("say", 1);
// @ts-expect-error: a wrong listener
socket.on("news", (text: number) => text);

const untyped = io();
untyped.on("anything", (a, b) => a + b).onAny((event, ...args) => event + args);
untyped.volatile.emit("something", 1, () => {});
untyped.auth = (send) => send({ token: "new" });
untyped.io.on("reconnect_attempt", (attempt) => attempt.toFixed());
untyped.io.onTransport(({ name, ok, reason, ms }) => name + ok + reason + ms)();
new Manager("https://example.com", { reconnectionDelay: 5 }).reconnectionDelay(10).timeout();

class Pigeon extends Transport {
  open() {
    this.host.opened(this);
  }
  send() {}
  close() {}
}
transports.pigeon = Pigeon;

export const global: Socket = window.io("/admin");
export const manager = new window.io.Manager();
