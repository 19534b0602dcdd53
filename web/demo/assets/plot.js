// The moving picture of one lane: every message a dot at its latency, the median and the 99th percentile as lines, and
// below them what was on the wire: each request from its start to its end.
import { fit } from "./link.js";

export const span = 20_000; // milliseconds from the left edge to the right
const floor = 0.3; // the axis is logarithmic, from this many milliseconds
const ceiling = 5000;
const marks = [1, 10, 100, 1000];
const wire = 22; // pixels for the requests
const gutter = 44; // pixels for the marks of the axis

const height = (ms, h) => {
  const share = Math.log(Math.max(floor, Math.min(ceiling, ms)) / floor) / Math.log(ceiling / floor);
  return (h - wire - 10) * (1 - share) + 5;
};

/** now is in the time of the dots and spans; colours: {lane, line, soft, post}. */
export function draw(canvas, { dots, lines, spans }, now, colours) {
  const { g, w, h } = fit(canvas);
  const x = (at) => w - ((now - at) / span) * w;

  g.lineWidth = 1;
  g.font = '500 10.5px "Instrument Sans", sans-serif';
  g.textBaseline = "bottom";
  for (const mark of marks) {
    const y = Math.round(height(mark, h)) + 0.5;
    g.strokeStyle = colours.line;
    g.beginPath();
    g.moveTo(0, y);
    g.lineTo(w, y);
    g.stroke();
    g.fillStyle = colours.soft;
    g.fillText(mark < 1000 ? `${mark} ms` : "1 s", 0, y - 1);
  }

  g.fillStyle = colours.lane;
  g.globalAlpha = dots.length > 400 ? 0.28 : 0.45;
  for (const dot of dots) {
    const left = x(dot.at);
    if (left < gutter || left > w + 2) continue;
    g.beginPath();
    g.arc(left, height(dot.ms, h), 2, 0, 7);
    g.fill();
  }
  g.globalAlpha = 1;

  g.strokeStyle = colours.lane;
  g.lineJoin = "round";
  for (const [which, width, dash] of [["p99", 1.5, [1.5, 3]], ["p50", 2, []]]) {
    g.lineWidth = width;
    g.setLineDash(dash);
    g.beginPath();
    let drawing = false;
    for (const point of lines) {
      const left = x(point.at);
      if (point[which] == null || left < gutter) {
        drawing = false;
        continue;
      }
      if (drawing) g.lineTo(left, height(point[which], h));
      else g.moveTo(left, height(point[which], h));
      drawing = true;
    }
    g.stroke();
  }
  g.setLineDash([]);

  const top = h - wire + 4;
  g.fillStyle = colours.line;
  g.globalAlpha = 0.5;
  g.fillRect(gutter, top, w - gutter, 8);
  g.globalAlpha = 1;
  for (const s of spans.values()) {
    const from = Math.max(gutter, x(s.start));
    const to = Math.min(w, s.end ? x(s.end) : w);
    if (to < gutter || from > w) continue;
    g.fillStyle = colours.lane;
    if (s.kind === "post") {
      g.fillRect(from, top + 10, Math.max(2, to - from), 7);
    } else {
      g.globalAlpha = 0.85;
      const tall = s.kind === "socket" ? 17 : 8;
      // A hair of space at the end keeps one request from the next.
      g.fillRect(from, top, Math.max(1, to - from - (s.end ? 1.5 : 0)), tall);
      g.globalAlpha = 1;
    }
  }
}
