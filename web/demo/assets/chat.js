import { ms, nameOf, nodeOf, open, showState } from "./link.js";

const $ = (id) => document.getElementById(id);
const keptItems = 400; // messages and notices kept per room in this page

// --- what this tab remembers over a reload: its name, its rooms, and the secret that shows it is the same page ---

const memory = {
  get(key, otherwise) {
    try { return JSON.parse(sessionStorage.getItem(`chat:${key}`)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { sessionStorage.setItem(`chat:${key}`, JSON.stringify(value)); } catch { /* it lasts for this page, then */ }
  },
};
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(36)).join("");
const pageKey = random();

const me = { id: "", name: memory.get("name", "") };
const rooms = new Map(); // name → room this tab is in
let list = []; // what the server says about all rooms
let here = null;
let boot = ""; // tells one life of the server from the next: message ids start again
let node = ""; // which server of a cluster this is
let ready = false; // connected, welcomed, and back in the rooms
let limits = { text: 2000 };

const socket = open("/chat", { auth: (send) => send({ name: me.name, key: pageKey }) });

// --- connection ---

showState(socket, $("state"), (state) => {
  if (state !== "up") ready = false;
  showNotice();
});

socket.io.onTransport?.((attempt) => {
  const item = document.createElement("li");
  const what = attempt.phase === "close" ? `closed after ${ms(attempt.ms)}`
    : attempt.ok ? `${attempt.phase === "upgrade" ? "took over" : "connected"} in ${ms(attempt.ms)}` : "did not work";
  item.textContent = `${nameOf(attempt.name)} ${what}${attempt.reason && !attempt.ok ? `: ${attempt.reason}` : ""}`;
  $("tried").append(item);
  while ($("tried").children.length > 8) $("tried").firstElementChild.remove();
});

socket.on("welcome", async (w) => {
  limits = w.limits;
  $("text").maxLength = limits.text;
  me.id = w.id;
  setName(w.name);
  const restarted = boot && boot !== w.boot;
  boot = w.boot;
  const moved = node && node !== nodeOf(socket);
  node = nodeOf(socket);
  if (!w.resumed) {
    const wanted = rooms.size ? [...rooms.keys()] : firstRooms();
    for (const name of wanted) await join(name, !here).catch(() => {});
    if (restarted) for (const room of rooms.values()) addEvent(room, moved ? `You are on node ${node} now` : "The server was restarted");
  }
  ready = true;
  showNotice();
  for (const room of rooms.values()) sendPending(room);
});

function firstRooms() {
  const asked = decodeURIComponent(location.hash.slice(1));
  const kept = memory.get("rooms", []);
  return [...new Set([asked, ...kept, ...(asked || kept.length ? [] : ["lobby"])].filter(Boolean))].slice(0, 6);
}

function showNotice(text, bad = false) {
  const n = $("notice");
  if (text) {
    n.textContent = text;
    clearTimeout(showNotice.timer);
    showNotice.timer = setTimeout(showNotice, 5000);
  } else if (!socket.connected && here) {
    n.textContent = "The connection is gone. What you write is kept and sent as soon as it is back.";
  } else {
    n.hidden = true;
    return;
  }
  n.classList.toggle("bad", bad);
  n.hidden = false;
}

/** A call whose refusal is an Error with the server's words. */
async function call(event, request) {
  const reply = await socket.timeout(10_000).emitWithAck(event, request);
  if (reply?.error) throw Object.assign(new Error(reply.error.message), { refused: true, code: reply.error.code });
  return reply;
}

// --- rooms ---

socket.on("rooms", (all) => {
  list = all;
  showRooms();
});

async function join(name, show = true) {
  const reply = await call("join", { room: name });
  let room = rooms.get(reply.room);
  if (!room) {
    room = { name: reply.room, items: [], members: new Map(), typing: new Map(), unread: 0, draft: "", nextLocal: 1 };
    rooms.set(room.name, room);
  }
  room.members = new Map(reply.members.map((m) => [m.id, m]));
  for (const m of reply.history) addMessage(room, m, false);
  keepRooms();
  if (show) go(room);
  else if (room === here) renderAll();
  showRooms();
  return room;
}

function keepRooms() {
  memory.set("rooms", [...rooms.keys()]);
}

function go(room) {
  if (here && here !== room) here.draft = $("text").value;
  const changed = here !== room;
  here = room;
  if (room) {
    room.unread = 0;
    history.replaceState(null, "", `#${encodeURIComponent(room.name)}`);
    if (changed) $("text").value = room.draft;
    grow();
  }
  renderAll();
  showRooms();
}

$("joinForm").addEventListener("submit", async (e) => {
  e.preventDefault();
  const name = $("joinName").value.trim();
  if (!name) return;
  try {
    await join(name);
    $("joinName").value = "";
    closePanels();
    $("text").focus();
  } catch (error) {
    showNotice(error.refused ? error.message : "There is no connection to join over.", true);
  }
});

$("leave").addEventListener("click", async () => {
  const room = here;
  try {
    await call("leave", { room: room.name });
  } catch {
    return showNotice("Leaving did not work. Are you connected?", true);
  }
  rooms.delete(room.name);
  keepRooms();
  go(rooms.values().next().value ?? null);
});

function showRooms() {
  const known = new Map(list.map((r) => [r.name, r.people]));
  for (const name of rooms.keys()) if (!known.has(name)) known.set(name, rooms.get(name).members.size);
  $("rooms").replaceChildren(...[...known].map(([name, people]) => {
    const room = rooms.get(name);
    const item = document.createElement("li");
    const button = document.createElement("button");
    const label = document.createElement("span");
    const count = document.createElement("small");
    label.textContent = name;
    count.textContent = room?.unread || people || "";
    item.classList.toggle("in", !!room);
    item.classList.toggle("here", !!room && room === here);
    item.classList.toggle("new", !!room?.unread);
    if (room?.unread) count.setAttribute("aria-label", `${room.unread} new messages`);
    button.append(label, count);
    button.addEventListener("click", () => {
      closePanels();
      if (room) go(room);
      else join(name).catch((error) => showNotice(error.refused ? error.message : "There is no connection to join over.", true));
    });
    item.append(button);
    return item;
  }));
}

// --- people ---

socket.on("joined", ({ room: name, user }) => withRoom(name, (room) => {
  room.members.set(user.id, user);
  addEvent(room, `${user.name} joined`);
  showPeople(room);
}));
socket.on("left", ({ room: name, user }) => withRoom(name, (room) => {
  room.members.delete(user.id);
  stopTyping(room, user.id);
  addEvent(room, `${user.name} left`);
  showPeople(room);
}));
socket.on("changed", ({ room: name, user }) => withRoom(name, (room) => {
  const before = room.members.get(user.id);
  room.members.set(user.id, user);
  if (before && before.name !== user.name) addEvent(room, `${before.name} is now ${user.name}`);
  showPeople(room);
}));
socket.on("typing", ({ room: name, user, on }) => withRoom(name, (room) => {
  stopTyping(room, user.id);
  if (on) room.typing.set(user.id, { name: user.name, timer: setTimeout(() => stopTyping(room, user.id), 4500) });
  showTyping(room);
}));

function withRoom(name, f) {
  const room = rooms.get(name);
  if (room) f(room);
}

function stopTyping(room, id) {
  clearTimeout(room.typing.get(id)?.timer);
  room.typing.delete(id);
  showTyping(room);
}

function showTyping(room) {
  if (room !== here) return;
  const names = [...room.typing.values()].map((t) => t.name);
  $("typing").textContent = names.length === 0 ? ""
    : names.length === 1 ? `${names[0]} is typing`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing` : "Several people are typing";
}

function showPeople(room) {
  if (room !== here) return;
  const people = [...room.members.values()];
  const present = people.filter((p) => !p.away).length;
  $("roomPeople").textContent = `${present} ${present === 1 ? "person" : "people"} here`;
  $("people").replaceChildren(...people.slice(0, 200).map((p) => {
    const item = document.createElement("li");
    item.classList.toggle("away", !!p.away);
    const name = document.createElement("span");
    name.textContent = p.name;
    item.append(face(p), name);
    const note = p.id === me.id ? "you" : p.away ? "reconnecting" : "";
    if (note) {
      const small = document.createElement("small");
      small.textContent = note;
      item.append(small);
    }
    return item;
  }));
}

function face(user) {
  const i = document.createElement("i");
  paintFace(i, user.name);
  return i;
}

function paintFace(element, name) {
  let hue = 7;
  for (const c of name) hue = (hue * 31 + c.codePointAt(0)) % 360;
  element.className = "face";
  element.setAttribute("aria-hidden", "true");
  element.style.setProperty("--hue", hue);
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  element.textContent = letters.map((w) => [...w][0]).join("").toUpperCase();
}

function setName(name) {
  me.name = name;
  memory.set("name", name);
  if (document.activeElement !== $("myName")) $("myName").value = name;
  paintFace($("myFace"), name);
}

async function rename() {
  const name = $("myName").value.trim();
  if (!name || name === me.name) return void ($("myName").value = me.name);
  try {
    const user = await call("rename", { name });
    setName(user.name);
    $("myName").value = user.name;
    for (const room of rooms.values()) room.members.set(user.id, user);
    if (here) showPeople(here);
  } catch (error) {
    $("myName").value = me.name;
    showNotice(error.refused ? error.message : "The name could not be changed without a connection.", true);
  }
}
$("meForm").addEventListener("submit", (e) => {
  e.preventDefault();
  $("myName").blur();
});
$("myName").addEventListener("blur", rename);

// --- messages ---

socket.on("message", (m) => withRoom(m.room, (room) => {
  stopTyping(room, m.from.id);
  addMessage(room, m);
  if (room !== here || document.hidden) {
    room.unread++;
    showRooms();
  }
}));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && here?.unread) {
    here.unread = 0;
    showRooms();
  }
});

function addMessage(room, m, render = true) {
  // Another server of a cluster has the same messages under other numbers.
  const known = room.items.find((i) => i.boot && (i.boot === boot ? i.id === m.id
    : i.at === m.at && i.from.id === m.from.id && i.text === m.text));
  if (known) {
    Object.assign(known, { id: m.id, boot });
    return;
  }
  const item = { ...m, boot };
  // Messages of a room are numbered; one that overtook another goes back in its place, before what is still unsent.
  let at = room.items.length;
  while (at > 0 && (room.items[at - 1].local || (room.items[at - 1].boot === boot && room.items[at - 1].id > m.id))) at--;
  room.items.splice(at, 0, item);
  trim(room);
  if (render) show(room, at === room.items.length - 1 ? item : null);
}

function addEvent(room, text) {
  const item = { event: text };
  room.items.push(item);
  trim(room);
  show(room, item);
}

function trim(room) {
  if (room.items.length > keptItems) room.items.splice(0, room.items.length - keptItems);
}

$("composer").addEventListener("submit", (e) => {
  e.preventDefault();
  const text = $("text").value.trim();
  if (!text || !here) return;
  $("text").value = "";
  grow();
  tellTyping(false);
  const item = { local: true, key: random(), text, from: me, at: Date.now(), state: "waiting" };
  here.items.push(item);
  show(here, item);
  sendPending(here);
  $("text").focus();
});

/** Sends what waits, in order, one at a time. The key lets the server recognize a message that it has already. */
async function sendPending(room) {
  if (room.sending) return;
  room.sending = true;
  try {
    for (let item; ready && (item = room.items.find((i) => i.local && i.state === "waiting"));) {
      try {
        const m = await call("say", { room: room.name, text: item.text, key: item.key });
        room.items.splice(room.items.indexOf(item), 1);
        addMessage(room, m, false);
      } catch (error) {
        if (error.code === "slow_down") {
          await new Promise((done) => setTimeout(done, 1000));
        } else if (error.refused) {
          item.state = "failed";
          showNotice(error.message, true);
        } else if (socket.connected) {
          await new Promise((done) => setTimeout(done, 500));
        } else {
          break; // welcome starts again
        }
      }
      if (room === here) renderAll();
    }
  } finally {
    room.sending = false;
  }
}

// --- drawing messages: everything that came from somebody goes in as text, never as HTML ---

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

function element(item, previous) {
  const li = document.createElement("li");
  if (item.event) {
    li.className = "event";
    li.textContent = item.event;
    return li;
  }
  const first = !previous || previous.event || previous.from.name !== item.from.name || item.at - previous.at > 300_000;
  const text = document.createElement("div");
  text.className = "text";
  text.textContent = item.text;
  if (first) {
    li.classList.add("first");
    const who = document.createElement("div");
    who.className = "who";
    const name = document.createElement("b");
    name.textContent = item.from.name;
    const time = document.createElement("time");
    time.dateTime = new Date(item.at).toISOString();
    time.textContent = clock.format(item.at);
    who.append(name, time);
    li.append(face(item.from), who);
  }
  li.append(text);
  // Only a message that really waits says so; one on its way is there before anybody could read it.
  if (item.state === "waiting" && !ready) {
    li.classList.add("waiting");
    const note = document.createElement("small");
    note.textContent = " waiting for the connection";
    text.append(note);
  }
  if (item.state === "failed") {
    li.classList.add("failed");
    const again = document.createElement("button");
    again.textContent = "Not sent. Try again";
    again.addEventListener("click", () => {
      item.state = "waiting";
      sendPending(here);
    });
    li.append(again);
  }
  return li;
}

/** Shows an item that was added at the end, or everything when it is not said which. */
function show(room, item) {
  if (room !== here) return;
  if (!item || room.items.length < 2 || $("messages").children.length !== room.items.length - 1) return renderAll();
  const box = $("messages");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  box.append(element(item, room.items.at(-2)));
  if (atEnd || item.local) box.scrollTop = box.scrollHeight;
}

function renderAll() {
  const box = $("messages");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const top = box.scrollTop;
  $("roomName").textContent = here ? here.name : "No room";
  $("leave").hidden = !here;
  $("composer").hidden = !here;
  document.title = here ? `${here.name} · Sockeye` : "Chat · Sockeye";
  if (!here) {
    $("roomPeople").textContent = "Choose one from the list, or make one";
    $("people").replaceChildren();
    box.replaceChildren();
    return;
  }
  if (here.items.length) {
    box.replaceChildren(...here.items.map((item, i) => element(item, here.items[i - 1])));
  } else {
    const li = document.createElement("li");
    li.className = "empty";
    const b = document.createElement("b");
    b.textContent = "Nobody has said anything yet";
    li.append(b, "Open this page in a second tab to talk to yourself, or send somebody the address.");
    box.replaceChildren(li);
  }
  box.scrollTop = atEnd ? box.scrollHeight : top;
  showPeople(here);
  showTyping(here);
}

// --- writing ---

const text = $("text");
let toldTyping = 0;
let typingRoom = null;

function tellTyping(on) {
  if (!ready || !here) return;
  const now = Date.now();
  if (on && typingRoom === here && now - toldTyping < 2500) return;
  if (!on && !typingRoom) return;
  socket.emit("typing", { room: (on ? here : typingRoom).name, on });
  toldTyping = now;
  typingRoom = on ? here : null;
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

text.addEventListener("input", () => {
  grow();
  tellTyping(text.value.trim() !== "");
});
// Enter sends, Shift+Enter begins a line. Asked of the input rather than of the key: keyboards on screens tell no keys.
let shift = false;
text.addEventListener("keydown", (e) => (shift = e.shiftKey));
text.addEventListener("beforeinput", (e) => {
  if (e.inputType === "insertLineBreak" && !shift && !e.isComposing) {
    e.preventDefault();
    $("composer").requestSubmit();
  }
});

// --- panels of narrow screens ---

function closePanels() {
  $("roomsPanel").classList.remove("open");
  $("peoplePanel").classList.remove("open");
  $("shade").hidden = true;
}
for (const [button, panel] of [["showRooms", "roomsPanel"], ["showPeople", "peoplePanel"]]) {
  $(button).addEventListener("click", () => {
    $(panel).classList.add("open");
    $("shade").hidden = false;
  });
}
$("shade").addEventListener("click", closePanels);
addEventListener("keydown", (e) => e.key === "Escape" && closePanels());

// A tab that closes says so, so that nobody has to wait for it. One from the back-forward cache comes back.
addEventListener("pagehide", () => socket.disconnect());
addEventListener("pageshow", (e) => e.persisted && socket.connect());
