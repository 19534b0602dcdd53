import { colour, ms, nameOf, number, open, showState } from "./link.js";
import { draw, span } from "./plot.js";
import { judge } from "./verdict.js";
import { io } from "./socket.io.esm.min.js";

const $ = (id) => document.getElementById(id);
const look = 10_000; // the figures are those of the last ten seconds

const kinds = [
  { id: "short", label: "Short polling", how: "Asks twice a second whether there is anything.", options: { transports: ["polling"] } },
  { id: "long", label: "Long-polling", how: "Asks, and the server holds the question until it has an answer.", options: { transports: ["polling"] } },
  { id: "streaming", label: "Streaming", how: "One response that never ends. What goes back is a request each.", options: { transports: ["streaming"] } },
  { id: "sse", label: "Server-Sent Events", how: "Streaming in the format that every browser’s EventSource reads.", options: { transports: ["streaming"], eventSource: true } },
  { id: "websocket", label: "WebSocket", how: "One connection, both ways, no HTTP after the first request.", options: { transports: ["websocket"] } },
];

// --- the visit: the page's own connection to the lab, and the server's clock ---

const control = open("/lab");
let visit = null;
let paused = "";
let settings = { rate: 10, burst: 0, up: 2, size: 32, delay: 0, buffer: false, blockUpgrade: false, paused: false };

const clock = { offset: 0, best: Infinity, samples: [] };
const now = () => performance.now() + clock.offset;

async function readClock() {
  if (!control.connected) return;
  const sent = performance.now();
  let reply;
  try {
    reply = await control.timeout(3000).emitWithAck("clock", {});
  } catch {
    return;
  }
  const got = performance.now();
  // The quickest of the last exchanges says most about the difference between the clocks.
  clock.samples.push({ trip: got - sent, offset: reply.at - (sent + got) / 2 });
  if (clock.samples.length > 12) clock.samples.shift();
  clock.offset = clock.samples.reduce((a, b) => (b.trip < a.trip ? b : a)).offset;
}
setInterval(readClock, 2000);

showState(control, $("state"));

control.on("visit", async (v) => {
  visit = v;
  clock.samples.length = 0;
  for (let i = 0; i < 5; i++) await readClock();
  await apply();
  if (paused) return;
  for (const lane of lanes) lane.restart();
  chooseFreely();
});
control.on("disconnect", () => {
  visit = null;
  for (const lane of lanes) lane.stop();
  auto?.disconnect();
});
control.on("connect_error", (error) => {
  if (!control.active) notice(error.message);
});

// --- lanes ---

/** The k-th smallest share of numbers; null of none. */
function quantile(values, share) {
  if (!values.length) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

class Lane {
  dots = []; // {at, ms}, the last 20 s
  lines = []; // {at, p50, p99}
  spans = new Map();
  snapshots = []; // {at, received, ups, traffic}
  upLatencies = []; // {at, ms}
  received = 0;
  lastNumber = 0;
  missing = 0;
  note = "";
  failing = 0;

  constructor(kind) {
    Object.assign(this, kind);
    const article = $("lane").content.firstElementChild.cloneNode(true);
    article.dataset.lane = this.id;
    article.style.setProperty("--c", `var(--lane-${this.id})`);
    article.querySelector("h3").textContent = this.label;
    article.querySelector(".how").textContent = this.how;
    this.canvas = article.querySelector("canvas");
    this.canvas.setAttribute("aria-label", `Latency of the messages over ${this.label}`);
    this.state = article.querySelector(".state");
    this.cells = Object.fromEntries(["p50", "p99", "reqs", "down", "up"].map((c) => [c, article.querySelector(`.fig.${c}`)]));
    $("lanes").append(article);
    this.element = article;
  }

  restart() {
    this.stop();
    this.reset();
    const socket = io("/", {
      ...this.options,
      path: `${visit.lanes[this.id]}socket.io/`,
      auth: { visit: visit.id, lane: this.id },
      forceNew: true, remember: false, upgrade: false, timeout: 6000,
      reconnectionDelay: 800, reconnectionDelayMax: 2500,
    });
    this.socket = socket;
    this.tell("wait", "Connecting…");
    socket.on("connect", () => {
      this.failing = 0;
      this.lastNumber = 0;
      this.since = now();
      this.tell("up", "Connected");
    });
    socket.on("disconnect", (reason) => reason !== "io client disconnect" && this.tell("wait", "Cut off, connecting again…"));
    socket.on("connect_error", (error) => {
      this.failing++;
      this.tell("down", explain(this, error));
    });
    socket.on("tick", (n, at) => {
      const t = now();
      this.received++;
      if (this.lastNumber && n > this.lastNumber + 1) this.missing += n - this.lastNumber - 1;
      this.lastNumber = n;
      this.dots.push({ at: t, ms: Math.max(0.05, t - at) });
    });
  }

  stop() {
    this.socket?.disconnect();
    this.socket = null;
    this.tell("off", "Stopped");
  }

  /** Forgets the figures: after a change, old ones would be mixed with new ones for ten seconds. */
  reset() {
    this.snapshots = [];
    this.dots = [];
    this.upLatencies = [];
    this.lines = [];
    this.missing = 0;
  }

  tell(state, text) {
    if (this.state.dataset.state === state && this.note === text) return;
    this.note = text;
    this.state.dataset.state = state;
    this.state.firstElementChild.textContent = text;
  }

  /** Takes in what the server saw of this lane. */
  take(at, f) {
    for (const s of f.spans) this.spans.set(s.id, s);
    for (const [id, s] of this.spans) if ((s.end || at) < at - span - 1000) this.spans.delete(id);
    for (const latency of f.latency) this.upLatencies.push({ at, ms: latency });
    this.snapshots.push({ at, received: this.received, ups: f.ups, traffic: f.traffic });
    while (this.snapshots.length > 2 && this.snapshots[1].at < at - look) this.snapshots.shift();
    for (const list of [this.dots, this.lines]) while (list.length && list[0].at < at - span - 500) list.shift();
    while (this.upLatencies.length && this.upLatencies[0].at < at - look) this.upLatencies.shift();
    const recent = this.dots.filter((d) => d.at > at - 4000).map((d) => d.ms);
    this.lines.push({ at, p50: quantile(recent, 0.5), p99: quantile(recent, 0.99) });
    // Connected, and yet nothing comes: worth a word.
    if (this.socket?.connected && !settings.paused) {
      const quiet = at - Math.max(this.since, this.dots.at(-1)?.at ?? 0);
      if (quiet > 3000 + 2 * settings.delay) this.tell("down", `Nothing arrived for ${number(quiet / 1000)} s: held back by the proxy`);
      else if (this.state.dataset.state !== "up") this.tell("up", "Connected");
    }
  }

  /** Shows how much arrives, in the place of a mere "Connected". */
  showRate({ rate, missing, measuredMs }) {
    if (this.state.dataset.state !== "up" || measuredMs < 500) return;
    const lost = missing ? `, ${number(missing)} missing` : "";
    this.state.firstElementChild.textContent = `${number(rate, rate < 9.95 ? 1 : 0)} messages/s${lost}`;
  }

  /** The figures of the last ten seconds. */
  figures() {
    const last = this.snapshots.at(-1);
    const first = this.snapshots[0];
    const result = {
      id: this.id, label: this.label, connected: !!this.socket?.connected, state: this.state.dataset.state, note: this.note,
      p50: null, p99: null, upP50: null, upP99: null, rate: 0, requests: 0, missing: this.missing,
      down: null, up: null, measuredMs: last ? last.at - first.at : 0,
    };
    if (!last || last.at - first.at < 500) return result;
    const recent = this.dots.filter((d) => d.at > last.at - look).map((d) => d.ms);
    result.p50 = quantile(recent, 0.5);
    result.p99 = quantile(recent, 0.99);
    const ups = this.upLatencies.map((d) => d.ms);
    result.upP50 = quantile(ups, 0.5);
    result.upP99 = quantile(ups, 0.99);
    const seconds = (last.at - first.at) / 1000;
    const delta = (kind, what) => last.traffic[kind][what] - first.traffic[kind][what];
    const received = last.received - first.received;
    const sent = last.ups - first.ups;
    result.rate = received / seconds;
    result.requests = (delta("get", "requests") + delta("post", "requests")) / seconds;
    // GETs exist to bring messages to the browser, POSTs to take them to the server; a WebSocket's two directions are just that.
    if (received) {
      result.down = { down: (delta("get", "down") + delta("socket", "down")) / received, up: delta("get", "up") / received };
    }
    if (sent) {
      result.up = { up: (delta("post", "up") + delta("socket", "up")) / sent, down: delta("post", "down") / sent };
    }
    return result;
  }
}

function explain(lane, error) {
  const detail = String(error?.description?.message ?? error?.message ?? "");
  if (settings.blockUpgrade && lane.id === "websocket") return "The proxy refuses to upgrade";
  if (settings.buffer && (lane.id === "streaming" || lane.id === "sse")) return "The proxy holds the response back";
  return `No connection${detail ? `: ${detail}` : ""}`;
}

const lanes = kinds.map((kind) => new Lane(kind));

control.on("figures", (f) => {
  if (!visit || paused) return;
  for (const lane of lanes) lane.take(f.at, f.lanes[lane.id]);
});
control.on("server", (s) => {
  $("sSessions").textContent = number(s.sessions);
  $("sWebsocket").textContent = number(s.transports.websocket ?? 0);
  $("sPolling").textContent = number(s.transports.polling ?? 0);
  $("sStreaming").textContent = number(s.transports.streaming ?? 0);
  $("sEvents").textContent = number(s.events);
  $("sPeople").textContent = number(s.people);
  $("sVisits").textContent = number(s.visits);
  for (const [id, value] of [["sNode", s.node], ["sCarried", s.node && number(s.carried ?? 0)]]) {
    $(id).textContent = value ?? "";
    $(id).parentElement.hidden = !value;
  }
});

// Messages to the server, lane by lane: all at once they would wait for each other, as four lanes need a connection for each
// and the browser has six in all.
let upTimer;
let upNumber = 0;
function sendUps() {
  clearInterval(upTimer);
  if (!settings.up || paused) return;
  const padding = "sockeye ".repeat(Math.ceil(settings.size / 8)).slice(0, settings.size);
  upTimer = setInterval(() => {
    const lane = lanes[upNumber++ % lanes.length];
    // A lane that can't send leaves this one out, rather than queueing old news.
    if (lane.socket?.connected) lane.socket.emit("up", upNumber, Math.round(now() * 100) / 100, padding);
  }, 1000 / settings.up / lanes.length);
}

// --- what the client chooses when nothing is forced ---

let auto = null;
function chooseFreely() {
  auto?.disconnect();
  $("tried").replaceChildren();
  $("picked").textContent = "…";
  if (!visit || paused) return;
  const mine = (auto = io("/", {
    path: `${visit.lanes.auto}socket.io/`, auth: { visit: visit.id, lane: "auto" },
    forceNew: true, remember: false, reconnectionDelay: 500, reconnectionDelayMax: 2000,
  }));
  mine.io.onTransport?.((a) => {
    if (mine !== auto || paused || (a.phase === "close" && !mine.active)) return;
    const item = document.createElement("li");
    const what = a.phase === "close" ? `was cut off after ${ms(a.ms)}`
      : a.ok ? `${a.phase === "upgrade" ? "took over" : "connected"} after ${ms(a.ms)}`
      : `failed ${a.phase === "upgrade" ? "again " : ""}after ${ms(a.ms)}`;
    // "websocket error" is all that a browser tells about a refusal.
    const why = a.ok || !a.reason || a.reason === "websocket error" ? "" : `: ${a.reason}`;
    item.textContent = nameOf(a.name) + " " + what + why;
    $("tried").append(item);
    while ($("tried").children.length > 4) $("tried").firstElementChild.remove();
  });
  const show = () => {
    $("picked").textContent = nameOf(mine.io.engine?.transport?.name);
    $("picked").style.color = `var(--lane-${{ polling: "long" }[mine.io.engine?.transport?.name] ?? mine.io.engine?.transport?.name})`;
  };
  mine.on("connect", () => {
    show();
    mine.io.engine.on("upgrade", show);
    // Seen enough: it would hold one of the browser's six connections.
    setTimeout(() => mine === auto && mine.disconnect(), 4000);
  });
}

// --- the controls ---

function readControls() {
  const form = new FormData($("controls"));
  const flow = form.get("flow");
  return {
    rate: flow === "burst" ? 20 : Number(flow), burst: flow === "burst" ? 40 : 0,
    up: Number(form.get("up")), size: Number(form.get("size")), delay: Number(form.get("delay")),
    buffer: form.has("buffer"), blockUpgrade: form.has("blockUpgrade"), paused: !!paused,
  };
}

async function apply() {
  const before = settings;
  settings = readControls();
  for (const lane of lanes) lane.reset();
  sendUps();
  if (!visit) return;
  try {
    const reply = await control.timeout(5000).emitWithAck("settings", settings);
    if (reply.error) return notice(reply.error.message);
  } catch {
    return; // a new visit begins when the connection is back
  }
  if (before.buffer !== settings.buffer || before.blockUpgrade !== settings.blockUpgrade) {
    for (const lane of lanes) if (lane.socket) lane.restart();
    chooseFreely();
  }
}
$("controls").addEventListener("change", apply);
$("controls").addEventListener("submit", (e) => e.preventDefault());

function notice(text, action) {
  const n = $("notice");
  n.hidden = !text;
  n.textContent = text;
  if (action) {
    const b = document.createElement("button");
    b.textContent = action;
    b.addEventListener("click", () => resume());
    n.append(b);
  }
}

/** Pausing closes the lanes: their requests would keep the browser's six connections from other tabs. */
function pause(reason, action) {
  if (paused) return;
  paused = reason;
  $("pause").textContent = "Continue";
  notice(reason, action);
  for (const lane of lanes) lane.stop();
  auto?.disconnect();
  apply();
}
/** A page that nobody looks at gives up its place in the lab, too. */
function leave(reason, action) {
  pause(reason, action);
  control.disconnect();
}
function resume() {
  paused = "";
  $("pause").textContent = "Pause";
  notice("");
  channel?.postMessage("running");
  if (!control.connected) return void control.connect(); // the new visit starts the lanes
  if (!visit) return;
  apply().then(() => {
    for (const lane of lanes) lane.restart();
    chooseFreely();
  });
}
$("pause").addEventListener("click", () => (paused ? resume() : pause("Paused. ", "Continue")));

// Timers of a hidden tab are slowed down, which would look like latency.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) paused && !control.connected && resume();
  else if (!paused) leave("Paused while this tab is in the background.");
});
const channel = "BroadcastChannel" in window ? new BroadcastChannel("sockeye-lab") : null;
channel?.addEventListener("message", () => leave("Paused, because the lab runs in another tab of this browser. ", "Run it here"));
channel?.postMessage("running");

// --- drawing ---

let colours;
function readColours() {
  colours = { line: colour("--line"), soft: colour("--soft") };
  for (const lane of lanes) colours[lane.id] = colour(`--lane-${lane.id}`);
}
readColours();
addEventListener("themechange", readColours);

let drawn = 0;
function frame(time) {
  if (time - drawn > 45 && !document.hidden) {
    drawn = time;
    if (!paused) for (const lane of lanes) draw(lane.canvas, lane, now(), { ...colours, lane: colours[lane.id] });
  }
  requestAnimationFrame(frame);
}
document.fonts.ready.then(() => requestAnimationFrame(frame));

const bytes = (n) => (n < 9950 ? number(n) : `${number(n / 1000, 1)} k`);

function showFigures() {
  if (paused) return;
  const all = lanes.map((lane) => lane.figures());
  const most = Math.max(1, ...all.flatMap((f) => [f.down ? f.down.down + f.down.up : 0, f.up ? f.up.down + f.up.up : 0]));
  all.forEach((f, i) => {
    const cells = lanes[i].cells;
    lanes[i].showRate(f);
    const set = (cell, text) => (cells[cell].querySelector("b").textContent = text);
    set("p50", ms(f.p50));
    set("p99", ms(f.p99));
    set("reqs", f.measuredMs ? number(f.requests, f.requests > 0 && f.requests < 9.95 ? 1 : 0) : "–");
    for (const way of ["down", "up"]) {
      const cost = f[way];
      set(way, cost ? bytes(cost.down + cost.up) : "–");
      const split = cells[way].querySelector(".split");
      split.textContent = cost ? `↓ ${bytes(cost.down)}  ↑ ${bytes(cost.up)}` : "";
      let meter = cells[way].querySelector(".meter");
      if (!meter) {
        meter = document.createElement("i");
        meter.className = "meter";
        split.before(meter);
      }
      meter.hidden = !cost;
      meter.style.width = cost ? `${Math.max(2, ((cost.down + cost.up) / most) * 100)}%` : "0";
    }
  });
  const verdict = judge(Object.fromEntries(all.map((f) => [f.id, f])), settings);
  if ($("headline").textContent !== verdict.headline) $("headline").textContent = verdict.headline;
  const reasons = $("reasons");
  verdict.reasons.forEach((text, i) => {
    const item = reasons.children[i] ?? reasons.appendChild(document.createElement("li"));
    if (item.textContent !== text) item.textContent = text;
  });
  while (reasons.children.length > verdict.reasons.length) reasons.lastElementChild.remove();
  if (verdict.down) $("ansDown").textContent = verdict.down;
  if (verdict.up) $("ansUp").textContent = verdict.up;
}
setInterval(showFigures, 1000);

function report() {
  return { at: new Date().toISOString(), browser: navigator.userAgent, settings, lanes: lanes.map((l) => l.figures()) };
}
$("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(report(), null, 2)], { type: "application/json" }));
  link.download = "transports.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

// For scripts and the tests: the same figures that are on the page.
window.lab = { report, resetFigures: () => lanes.forEach((l) => l.reset()) };
