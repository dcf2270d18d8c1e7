// Keeps the view up to date: the stream says that something changed, and the view is asked for anew and morphed in,
// so that focus, selection, filters and scroll position stay. A slow answer slows the asking down.
import { text } from "./time.js";

const EVERY_MS = 20_000; // for what makes no event, such as who was last heard when
const SHARE = 4; // at most a fifth of the time is spent asking

let asking = false;
let again = false;
let rest = 0;

export function token() {
  return document.querySelector('meta[name="csrf"]')?.content ?? "";
}

export async function show(href = location.href) {
  if (asking) { again = true; return; }
  asking = true;
  const started = performance.now();
  try {
    do {
      again = false;
      await htmx.ajax("GET", href, { target: "#live", select: "#live", swap: "outerMorph" });
      href = location.href;
    } while (again);
    document.title = document.querySelector("#live")?.dataset.title ?? document.title;
  } catch { /* the pulse shows it */ }
  rest = performance.now() + SHARE * (performance.now() - started);
  asking = false;
}

export function follow(after) {
  const pulse = () => document.getElementById("pulse");
  const say = (on) => {
    const it = pulse();
    it.className = `pulse ${on ? "on" : "off"}`;
    it.textContent = on ? it.dataset.live : it.dataset.lost;
  };
  let due = null;
  const refresh = async () => {
    due = null;
    if (document.hidden) { stale = true; return; }
    await show();
    after();
  };
  let stale = false;
  const soon = () => { due ??= setTimeout(refresh, Math.max(0, rest - performance.now())); };
  const connect = () => {
    const stream = new EventSource("/changes");
    stream.addEventListener("open", () => { say(true); soon(); });
    stream.addEventListener("changed", soon);
    stream.addEventListener("error", () => {
      say(false);
      if (stream.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, 3000); // refused, and the browser does not try again by itself
      soon(); // whoever is signed out is led to the form by this
    });
    addEventListener("pagehide", () => stream.close(), { once: true });
  };
  connect();
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  setInterval(soon, EVERY_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) { stale = false; soon(); } });
}

// Where it is seen: in the dialog while one is open, since all else is behind it.
export function say(message) {
  const form = document.querySelector("dialog[open] form");
  if (form) {
    form.querySelector(".said")?.remove();
    form.querySelector("footer").before(Object.assign(document.createElement("p"), { textContent: message, className: "note said", role: "alert" }));
    return;
  }
  const place = document.getElementById("said");
  place.replaceChildren(Object.assign(document.createElement("p"), { textContent: message }));
  setTimeout(() => place.replaceChildren(), 6000);
}

// A form's worth of values to the daemon; the answer is a part of the page, or a refusal in words.
export async function order(path, values) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "HX-Request": "true", "X-CSRF-Token": token() },
      body: new URLSearchParams(values),
    });
  } catch {
    say(text("failed"));
    return "";
  }
  if (answer.status === 401 || answer.redirected) { location.reload(); return ""; }
  if (!answer.ok) { say(await refusal(answer)); return ""; }
  return answer.text();
}

async function refusal(answer) {
  try { return (await answer.json()).detail; } catch { return `${answer.status} ${answer.statusText}`; }
}
