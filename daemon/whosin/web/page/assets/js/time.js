// Times that tick: relative in words, exact on hover, both where the reader sits. The server's clock counts.
const words = JSON.parse(document.getElementById("texts").textContent);
const server = document.querySelector('meta[name="server-now"]');
const ahead = server ? Date.parse(server.content) - Date.now() : 0;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const text = (key, given = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => given[name]);

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (large, l, small, s) => {
    const rest = Math.floor((whole % large) / small);
    return `${Math.floor(whole / large)} ${text(l)}` + (rest ? ` ${rest} ${text(s)}` : "");
  };
  if (whole < 60) return `${whole} ${text("s")}`;
  if (whole < 3600) return `${Math.floor(whole / 60)} ${text("min")}`;
  if (whole < 86400) return two(3600, "h", 60, "min");
  return two(86400, "d", 3600, "h");
}

// A day of a form as it stands in an address: "2026-10-25+02:00". What counts is how far the reader's clocks are ahead
// of UTC as it begins, or ends; so a day has 23 or 25 hours where it has.
export function dayHere(day, end) {
  const [y, m, d] = day.split("-").map(Number);
  const midnight = [y, m - 1, d + (end ? 1 : 0)];
  const ahead = Math.round((Date.UTC(...midnight) - new Date(...midnight)) / 60_000);
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${day}${ahead < 0 ? "-" : "+"}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`;
}

const forms = {
  ago: (s) => (s < 1 ? text("now") : text("ago", { span: span(s) })),
  for: (s) => span(s),
  in: (s) => (s > -1 ? text("now") : text("in", { span: span(-s) })),
  at: (s, at) => (Math.abs(s) < 43200 ? clock : day).format(at),
  moment: (s, at) => day.format(at),
};

export function tick() {
  const now = Date.now() + ahead;
  const place = document.getElementById("zone");
  if (place) place.textContent = zone;
  for (const one of document.querySelectorAll("time[datetime]")) {
    const at = new Date(one.dateTime);
    const shown = (forms[one.dataset.form] ?? forms.ago)((now - at) / 1000, at);
    if (one.textContent !== shown) one.textContent = shown;
    if (one.dataset.told !== one.dateTime) {
      one.dataset.told = one.dateTime;
      one.title = text("exact", { local: exact.format(at), zone });
    }
  }
}
