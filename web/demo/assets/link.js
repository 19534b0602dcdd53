// What the pages share: where the server is, and how to tell a person about a connection.
import { io } from "./socket.io.esm.min.js";
import env from "./env.js";

export const path = env.path;

const names = { websocket: "WebSocket", polling: "Long-polling", streaming: "Streaming", webtransport: "WebTransport" };
export const nameOf = (transport) => names[transport] ?? transport ?? "–";

/** Opens a namespace. `?transport=polling` in the page's address forces a transport, for trying things out. */
export function open(namespace, options = {}) {
  const forced = new URLSearchParams(location.search).get("transport");
  return io(namespace, { path, ...(forced ? { transports: forced.split(",") } : {}), ...options });
}

/** The server of a cluster that the socket's session is on, as the session's id says; "" if there is no cluster. */
export function nodeOf(socket) {
  return env.cluster ? (socket.io.engine?.id ?? "").slice(0, 4).replace(/-+$/, "") : "";
}

/** Keeps an element of class "state" telling how the socket's connection is. */
export function showState(socket, element, onChange = () => {}) {
  const label = element.firstElementChild;
  const set = (state, text) => {
    element.dataset.state = state;
    label.textContent = text;
    onChange(state, text);
  };
  const up = () => {
    const node = nodeOf(socket);
    set("up", `Connected over ${nameOf(socket.io.engine?.transport?.name)}${node && ` to node ${node}`}`);
  };
  socket.on("connect", () => {
    up();
    socket.io.engine.on("upgrade", up);
  });
  socket.on("disconnect", (reason) => {
    if (reason === "io client disconnect") set("off", "Disconnected");
    else if (reason === "io server disconnect") set("down", "The server ended the connection");
    else set("wait", "Connection lost, trying again…");
  });
  socket.on("connect_error", (error) => {
    if (socket.active) set("down", "No connection, trying again…");
    else set("down", error.message);
  });
}

export const number = (n, digits = 0) => n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Milliseconds for a person: three significant digits at most. */
export function ms(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value < 9.95) return `${number(value, 1)} ms`;
  if (value < 9950) return `${number(value)} ms`;
  return `${number(value / 1000, 1)} s`;
}

/** Sizes a canvas to its box and the screen's density; returns its context in CSS pixels. */
export function fit(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const { width, height } = canvas.parentElement.getBoundingClientRect();
  const style = getComputedStyle(canvas.parentElement);
  const w = Math.max(0, width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  const h = Math.max(0, height - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom));
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return { g, w, h };
}

/** The value of a colour variable in the theme in force, in a form that canvas understands. */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);
