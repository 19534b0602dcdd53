// Says in words what the figures show. Nothing is assumed: every claim is made only while the figures bear it out.
import { ms, number } from "./link.js";

const total = (cost) => (cost ? cost.down + cost.up : null);
const alive = (lane) => lane.connected && lane.rate > 0 && lane.p50 != null;
const near = (a, b) => Math.abs(a - b) <= Math.max(3, 0.5 * Math.min(a, b));
const b = (n) => `${number(n)} bytes`;

export function judge(lanes, settings) {
  const { short, long, streaming, websocket: ws } = lanes;
  const result = { headline: "", reasons: [], down: "", up: "" };
  const say = (text) => result.reasons.push(text);

  if (alive(streaming) && alive(ws)) {
    result.down = `Right now: ${ms(streaming.p50)} and ${b(total(streaming.down))} a message with streaming, ${ms(ws.p50)} and ${b(total(ws.down))} with WebSocket.`;
  }
  if (streaming.up && ws.up) {
    result.up = `Right now that is ${b(total(streaming.up))} a message, against ${b(total(ws.up))} in a WebSocket frame.`;
  }

  if (Math.max(...Object.values(lanes).map((l) => l.measuredMs)) < 2500) {
    result.headline = "Collecting the first messages…";
    say("The figures cover the last ten seconds. They start afresh whenever you change something.");
    return result;
  }

  if (settings.blockUpgrade && settings.buffer) {
    result.headline = alive(long) ? "Only polling survives this network" : "Nothing gets through yet";
    if (!alive(ws)) say("WebSocket is refused: the proxy drops the Upgrade header.");
    if (!alive(streaming)) say("Streaming is swallowed: the proxy waits for the end of a response that has none.");
    if (alive(long)) say(`Long-polling’s responses are short and complete, so every proxy passes them on: ${ms(long.p50)}, at ${b(total(long.down))} a message.`);
    return result;
  }
  if (settings.blockUpgrade) {
    result.headline = alive(streaming) ? "Without WebSocket, streaming is the next best" : "WebSocket is refused";
    if (!alive(ws)) say("The proxy drops the Upgrade header, as those do that know only plain HTTP. WebSocket has no way in.");
    if (alive(streaming) && alive(long)) say(`Streaming delivers in ${ms(streaming.p50)} for ${b(total(streaming.down))} a message; long-polling needs ${ms(long.p50)} and ${b(total(long.down))}.`);
    if (streaming.up) say(`The price is paid on the way back: ${b(total(streaming.up))} for each message to the server, over all of these.`);
    return result;
  }
  if (settings.buffer) {
    result.headline = !alive(streaming) ? "A buffering proxy silences streaming" : "The proxy collects responses";
    if (!alive(streaming)) say("The proxy collects a response until it is complete, and a stream never is. Streaming and Server-Sent Events get nothing through.");
    if (alive(long)) say("Long-polling doesn’t mind: each of its responses ends as soon as it has something to say.");
    if (alive(ws)) say("Nor does WebSocket: after the upgrade there is no response left to collect.");
    return result;
  }

  if (!alive(streaming) || !alive(ws) || !alive(long)) {
    const off = Object.values(lanes).filter((l) => !alive(l)).map((l) => l.label);
    result.headline = `${off.join(", ")}: nothing arrives at the moment`;
    return result;
  }

  const behind = long.p50 > streaming.p50 * 1.6 + 3;
  if (settings.burst || settings.rate >= 50) {
    result.headline = behind ? "Under load, long-polling pays a round trip for every batch" : "Crowded, and all but short polling keep up";
  } else if (settings.delay && behind) {
    result.headline = "With distance, every question asked costs time";
  } else if (near(streaming.p50, ws.p50)) {
    result.headline = settings.up ? "Streaming and WebSocket deliver alike. The way back is what differs." : "One way only, streaming and WebSocket are equals";
  } else {
    result.headline = streaming.p50 < ws.p50 ? "Streaming is ahead just now" : "WebSocket is ahead just now";
  }

  say(`To the browser, streaming takes ${ms(streaming.p50)} and ${b(total(streaming.down))} a message, WebSocket ${ms(ws.p50)} and ${b(total(ws.down))}.`);
  if (streaming.up && ws.up) {
    const times = total(streaming.up) / total(ws.up);
    say(`To the server, a message is ${b(total(ws.up))} over WebSocket and ${b(total(streaming.up))} over streaming${times > 2 ? `, ${number(times)} times as many` : ""}: there it is a whole HTTP request, and its answer.`);
  }
  const polled = total(long.down);
  if (behind) {
    say(`Long-polling must ask again after each answer, and what happens meanwhile waits: ${ms(long.p50)}, and ${b(polled)} a message.`);
  } else if (polled > 2 * total(ws.down)) {
    say(`Long-polling is as quick at this pace, but asks again for every answer: ${b(polled)} a message.`);
  }
  if (result.reasons.length < 3 && alive(short)) say(`Short polling brings news ${ms(short.p50)} old, and asks even when there is none.`);
  return result;
}
