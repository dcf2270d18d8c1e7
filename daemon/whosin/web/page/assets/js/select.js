// Choosing rows as on a desktop: click, Ctrl+click, Shift+click, Ctrl+A, arrows, checkboxes, all that match.
// What is chosen is a set of ids; the rows only show it.
import { order } from "./live.js";

export class Selection {
  constructor() {
    this.ids = new Set();
    this.all = false; // all that match the filters, on every page
    this.anchor = null;
    this.focus = null;
    this.asked = 0;
  }

  get table() { return document.querySelector("table[data-select]"); }
  get rows() { return [...(this.table?.querySelectorAll("tr[data-id]") ?? [])]; }
  get size() { return this.all ? Number(document.getElementById("tools")?.dataset.total ?? 0) : this.ids.size; }

  start() {
    document.addEventListener("click", (event) => this.clicked(event));
    document.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("dblclick", (event) => {
      const link = event.target.closest("tr[data-id]")?.querySelector("a");
      if (link && !event.target.closest("a, input, button")) location.assign(link.href);
    });
    document.addEventListener("focusin", (event) => {
      const row = event.target.closest?.("tr[data-id]");
      if (row) this.focus = row.dataset.id;
    });
  }

  // What a form needs to name the chosen ones.
  values() {
    if (!this.all) return { ids: [...this.ids].join("\n") };
    const tab = document.getElementById("live").dataset.tab;
    return { ...Object.fromEntries(new URLSearchParams(location.search)), all: "1", tab };
  }

  clear() { this.ids.clear(); this.all = false; this.anchor = null; this.changed(); }

  drop(ids) { for (const id of ids) this.ids.delete(id); this.all = false; this.changed(); }

  clicked(event) {
    const target = event.target;
    if (target.id === "tick-all") return this.page(target.checked);
    if (target.id === "choose-all") { this.all = !this.all; return this.changed(); }
    const row = target.closest?.("table[data-select] tr[data-id]");
    if (!row || target.closest("a, button")) return;
    const box = target.closest(".tick");
    if (event.shiftKey) this.range(row.dataset.id, event.ctrlKey || event.metaKey);
    else if (event.ctrlKey || event.metaKey || box) this.toggle(row.dataset.id);
    else this.only(row.dataset.id);
    row.focus({ preventScroll: true });
    this.changed();
  }

  pressed(event) {
    if (event.target.closest?.("input:not([type=checkbox]), select, textarea, dialog") || !this.table) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === "a") { event.preventDefault(); return this.page(true); }
    if (event.key === "Escape" && this.size) return this.clear();
    if (event.key === "Delete") return document.getElementById("logoff")?.click();
    const rows = this.rows;
    const row = event.target.closest?.("tr[data-id]");
    const inside = row ?? (event.target === document.body || event.target.closest?.("#view, thead") ? rows[0] : null);
    if (!inside || !rows.length) return;
    const at = rows.indexOf(row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined && (row || event.key === "ArrowDown")) {
      event.preventDefault();
      const next = rows[Math.min(rows.length - 1, Math.max(0, to))];
      next.focus();
      next.scrollIntoView({ block: "nearest" });
      if (event.shiftKey) this.range(next.dataset.id, control);
      else if (!control) this.only(next.dataset.id);
      return this.changed();
    }
    if (!row || event.target.closest("a, button")) return;
    if (event.key === " ") { event.preventDefault(); this.toggle(row.dataset.id); this.changed(); }
    if (event.key === "Enter") row.querySelector("a")?.click();
  }

  only(id) { this.ids = new Set([id]); this.all = false; this.anchor = id; }

  toggle(id) {
    this.all = false;
    if (!this.ids.delete(id)) this.ids.add(id);
    this.anchor = id;
  }

  range(id, keep) {
    const ids = this.rows.map((row) => row.dataset.id);
    const from = Math.max(0, ids.indexOf(this.anchor));
    const to = ids.indexOf(id);
    if (!keep) this.ids.clear();
    this.all = false;
    for (const one of ids.slice(Math.min(from, to), Math.max(from, to) + 1)) this.ids.add(one);
    this.anchor ??= ids[from];
  }

  page(chosen) {
    this.all = false;
    for (const row of this.rows) chosen ? this.ids.add(row.dataset.id) : this.ids.delete(row.dataset.id);
    this.changed();
  }

  changed() { this.apply(); this.reload(); }

  // Show in the rows what is chosen.
  apply() {
    const rows = this.rows;
    for (const row of rows) {
      const chosen = this.all || this.ids.has(row.dataset.id);
      row.setAttribute("aria-selected", chosen);
      row.querySelector(".tick input").checked = chosen;
      row.tabIndex = -1;
    }
    const entry = rows.find((row) => row.dataset.id === this.focus) ?? rows[0];
    if (entry) entry.tabIndex = 0;
    const size = this.size;
    const tools = document.getElementById("tools");
    if (tools) {
      const shown = size ? tools.dataset[size === 1 ? "one" : "other"].replace(/[\d,]*\{n\}|\{n\}/, size.toLocaleString()) : "";
      const place = document.getElementById("chosen");
      if (place.textContent !== shown) place.textContent = shown;
    }
    const every = document.getElementById("tick-all");
    if (every) {
      const on = rows.filter((row) => row.getAttribute("aria-selected") === "true").length;
      every.checked = on > 0 && on === rows.length;
      every.indeterminate = on > 0 && on < rows.length;
    }
    const all = document.getElementById("choose-all");
    if (all) all.textContent = this.all ? all.dataset.chosen : all.dataset.choose;
    for (const name of ["logoff", "message"]) {
      const button = document.getElementById(name);
      if (button) button.disabled = !size;
    }
  }

  // Ask anew what the chosen ones hold and need; those that are over are chosen no more.
  async reload() {
    const pane = document.getElementById("action");
    if (!pane) return;
    this.empty ??= pane.innerHTML;
    const mine = ++this.asked;
    if (!this.size) { pane.innerHTML = this.empty; return; }
    await new Promise((done) => setTimeout(done, 80)); // while somebody runs down the list
    if (mine !== this.asked) return;
    const part = await order("/action", this.values());
    if (mine !== this.asked || !part) return;
    await htmx.swap({ target: pane, text: part, swap: "innerMorph" });
    const gone = pane.querySelector("[data-gone-ids]")?.dataset.goneIds;
    if (gone && !this.all) { for (const id of gone.split("\n")) this.ids.delete(id); this.apply(); }
  }
}
