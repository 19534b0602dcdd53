import { colour, fit, ms, nameOf, number, open, path, showState } from "./link.js";

const $ = (id) => document.getElementById(id);

for (const e of document.querySelectorAll("[data-origin]")) e.textContent = location.origin;
if (path.replace(/\/$/, "") !== "/socket.io") {
  for (const e of document.querySelectorAll("[data-path]")) e.textContent = ` path: ${JSON.stringify(path)},`;
}

const socket = open("/");
showState(socket, $("state"));

// What the client tried, in its own words; only our client can tell.
socket.io.onTransport?.((attempt) => {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = nameOf(attempt.name);
  const what = attempt.phase === "close" ? `closed after ${ms(attempt.ms)}`
    : attempt.ok ? `${attempt.phase === "upgrade" ? "took over" : "connected"} in ${ms(attempt.ms)}`
    : "did not work";
  item.append(name, ` ${what}${attempt.reason && !attempt.ok ? `: ${attempt.reason}` : ""}`);
  $("tried").append(item);
  while ($("tried").children.length > 4) $("tried").firstElementChild.remove();
});

socket.on("server", (s) => {
  $("sessions").textContent = number(s.sessions);
  $("events").textContent = number(s.events);
});

const trips = [];
async function measure() {
  if (!socket.connected || document.hidden) return;
  const began = performance.now();
  try {
    await socket.timeout(5000).emitWithAck("clock", {});
  } catch {
    return; // the state says why
  }
  trips.push(performance.now() - began);
  if (trips.length > 60) trips.shift();
  const recent = trips.slice(-10).sort((a, b) => a - b);
  $("rtt").textContent = ms(recent[recent.length >> 1]);
  drawPulse();
}
socket.on("connect", measure);
setInterval(measure, 1000);

function drawPulse() {
  const { g, w, h } = fit($("pulse"));
  const top = Math.max(4, ...trips) * 1.15;
  const step = w / 60;
  g.strokeStyle = colour("--line");
  g.beginPath();
  g.moveTo(0, h - 0.5);
  g.lineTo(w, h - 0.5);
  g.stroke();
  g.fillStyle = colour("--accent");
  trips.forEach((t, i) => {
    const bar = Math.max(2, (t / top) * (h - 6));
    g.fillRect(w - (trips.length - i) * step, h - bar, Math.max(2, step - 3), bar);
  });
}
addEventListener("themechange", drawPulse);
addEventListener("resize", drawPulse);

// The river: the same messages set out on every lane together, and each lane moves them in its own way. Times are
// stretched about thirtyfold against what the lab measures.
const lanes = [
  { label: "Short polling", colour: "#e6b04a", arrive: (t) => Math.ceil(t / 2600) * 2600 },
  { label: "Long-polling", colour: "#b79bf2", arrive: (t, i) => t + (i % 3 === 2 ? 520 : 0) },
  { label: "Streaming", colour: "#43c9a9", arrive: (t) => t },
  { label: "Server-Sent Events", colour: "#6fb1ff", arrive: (t) => t },
  { label: "WebSocket", colour: "#ff6f5c", arrive: (t) => t },
];
const still = matchMedia("(prefers-reduced-motion: reduce)");
const swim = 3600;

function drawRiver(now) {
  const { g, w, h } = fit($("river"));
  const narrow = w < 560;
  const left = narrow ? 0 : 170;
  const gap = h / lanes.length;
  lanes.forEach((lane, row) => {
    const y = gap * (row + 0.5) + (narrow ? 8 : 0);
    g.font = `500 ${narrow ? 12 : 15}px "Instrument Sans", sans-serif`;
    g.fillStyle = "#b9cbc2";
    g.textBaseline = "middle";
    g.fillText(lane.label, 0, narrow ? y - 15 : y);
    g.strokeStyle = "rgb(255 255 255 / 0.09)";
    g.beginPath();
    g.moveTo(left, y);
    g.lineTo(w, y);
    g.stroke();
    const first = Math.floor((now - swim - 3000) / 430);
    for (let i = first; i * 430 <= now; i++) {
      const gone = now - lane.arrive(i * 430 + wobble(i), i);
      if (gone < 0 || gone > swim) continue;
      fish(g, left + (gone / swim) * (w - left + 30) - 15, y, lane.colour, Math.sin(gone / 90 + i));
    }
  });
}

const wobble = (i) => ((Math.sin(i * 12.9898) * 43758.5453) % 1) * 150;

function fish(g, x, y, fill, sway) {
  g.save();
  g.translate(x, y + sway * 1.2);
  g.fillStyle = fill;
  g.beginPath();
  g.moveTo(10, 0);
  g.bezierCurveTo(6, -6, -2, -6, -7, -0.5);
  g.lineTo(-12, -4.5 + sway);
  g.quadraticCurveTo(-10.5, sway, -12, 4.5 + sway);
  g.lineTo(-7, 0.5);
  g.bezierCurveTo(-2, 6, 6, 6, 10, 0);
  g.fill();
  g.restore();
}

function frame(now) {
  if (!document.hidden) drawRiver(now + 1e5);
  if (!still.matches) requestAnimationFrame(frame);
}
document.fonts.ready.then(() => requestAnimationFrame(frame));
addEventListener("resize", () => drawRiver(performance.now() + 1e5));
